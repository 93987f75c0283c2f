import { startNsqd, startNsqlookupd, withParts } from '@morpheo/real-parts';
import ava from 'ava';
import { eventually } from '../../testing/index.ts';
import { fault, listen, until } from '../conformance-listeners.ts';
import { openAt, openWith, statsOf } from './nsq.fixture.ts';

const test = withParts(ava, 'nsq');

test('nsqlookupd may go and come', async (t) => {
  await using lookupd = await startNsqlookupd();
  await using nsqd = await startNsqd({ lookupds: [lookupd.tcp] });
  await using publisher = openAt(nsqd);
  await using broker = openWith({ lookupds: [lookupd.http], nsqdHttps: [nsqd.http] });
  const heard = await listen(broker, 'train');
  await publisher.publish('train', 'a');
  await until(() => heard.messages.length === 1);
  await lookupd.kill();
  await eventually(t, (again) => again.regex(broker.said('warn').join(), /does not answer .*: start it/));
  await publisher.publish('train', 'b');
  await until(() => heard.messages.length === 2);
  await lookupd.start();
  await eventually(t, (again) => again.deepEqual(broker.said('info'), ['works again']));
  t.is(broker.said('warn').length, 1);
});

test('A nsqlookupd that starts later is asked then', async (t) => {
  await using lookupd = await startNsqlookupd();
  await lookupd.kill();
  await using broker = openWith({ lookupds: [lookupd.http] });
  await t.throwsAsync(broker.ping(), { message: /^No nsqd is known \(asked: 127/ });
  await t.throwsAsync(broker.publish('train', 'x'), { code: 'unavailable' });
  const heard = await listen(broker, 'train');
  await lookupd.start();
  await using _nsqd = await startNsqd({ lookupds: [lookupd.tcp] });
  await eventually(t, async (again) => again.is(await fault(broker.publish('train', 'x')), undefined));
  await eventually(t, (again) => again.true(heard.messages.includes('x')));
});

test('A topic is made where an HTTP address is known before anybody publishes', async (t) => {
  await using lookupd = await startNsqlookupd();
  await using nsqd = await startNsqd({ lookupds: [lookupd.tcp] });
  await using broker = openWith({ lookupds: [lookupd.http], nsqdHttps: [nsqd.http] });
  await listen(broker, 'train', 'compute');
  await eventually(t, async (again) => {
    const [topic] = (await statsOf(nsqd)).topics;
    again.like(topic, { topic_name: 'train' });
    again.is(topic?.channels[0]?.clients?.length, 1);
  });
});

test('A channel that nsqlookupd knows gets the first message of a new nsqd', async (t) => {
  await using lookupd = await startNsqlookupd();
  await using broker = openWith({ lookupds: [lookupd.http] });
  const [one, other] = [await listen(broker, 'train', 'one'), await listen(broker, 'train', 'other')];
  await using nsqd = await startNsqd({ lookupds: [lookupd.tcp] });
  await using publisher = openAt(nsqd);
  await publisher.publish('train', 'first');
  await until(() => one.messages.length === 1 && other.messages.length === 1);
  t.deepEqual([one.messages, other.messages], [['first'], ['first']]);
});
