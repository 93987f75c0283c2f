import { setTimeout as pause } from 'node:timers/promises';
import { isPlatformError } from '@morpheo/common';
import ava, { type ExecutionContext } from 'ava';
import { fault, listen, listenGated, uniqueTopic, until } from './conformance-listeners.ts';
import type { Broker } from './index.ts';
import { MOST_MESSAGE_BYTES } from './names.ts';

/** A broker whose driver is to be tested. */
export interface BrokerUnderTest {
  /** The driver's name, for the titles. */
  readonly name: string;
  /** Opens a broker. Topics and channels of the tests have names of their own, so it may be a shared one. */
  readonly open: () => Promise<Broker>;
}

/** What of ava's `test` is used, which `test.serial` and a driver's own have too. */
type RegisterTest = (title: string, run: (t: ExecutionContext) => Promise<void>) => void;

/**
 * Registers the contract of {@link Broker} as tests of one driver, each with the numbers of the sentences that it shows; brokers may be slow and may deliver twice. A driver
 * that needs a part of an installation gives a `test` that skips where the part is missing.
 */
export function testBroker({ name, open }: BrokerUnderTest, test: RegisterTest = ava): void {
  const behaves = (title: string, run: (t: ExecutionContext, broker: Broker) => Promise<void>) =>
    test(`${name}: ${title}`, async (t) => {
      await using broker = await open();
      await run(t, broker);
    });

  behaves('a published message reaches a subscriber [M1] [M16]', deliversOne);
  behaves('every channel gets every message [M3]', deliversToAllChannels);
  behaves('one subscriber of a channel gets a message [M4]', sharesAChannel);
  behaves('a channel keeps messages while nobody listens [M3]', keepsMessages);
  behaves('a transient channel goes with its last subscriber [M15]', forgetsTransient);
  behaves('a message whose handler throws does not return [M7]', finishesOnError);
  behaves('no more handlers run than concurrency allows [M8]', limitsConcurrency);
  behaves('a paused subscription handles nothing until resumed [M9]', pausesAndResumes);
  behaves('pausing lets handlers under way go on [M10]', pausesGently);
  behaves('drain resolves when no handler runs [M11]', drains);
  behaves('a disposed subscription has drained and hears nothing more [M12]', disposesSubscription);
  behaves('disposing waits for handlers, which may still publish [M12] [M13]', disposesBroker);
  behaves('names of other characters or lengths are refused [M5]', refusesNames);
  behaves('empty and overlong messages are refused [M6]', refusesMessages);
  behaves('a disposed broker is unavailable [M14]', isUnavailableAfterwards);
}

async function deliversOne(t: ExecutionContext, broker: Broker): Promise<void> {
  const heard = await listen(broker, uniqueTopic());
  await broker.ping();
  await broker.publish(heard.topic, 'hello ünïcode 1');
  await until(() => heard.messages.length > 0);
  t.is(heard.messages[0], 'hello ünïcode 1');
}

async function deliversToAllChannels(t: ExecutionContext, broker: Broker): Promise<void> {
  const topic = uniqueTopic();
  const first = await listen(broker, topic, 'first');
  const second = await listen(broker, topic, 'second');
  await publishAll(broker, topic, ['a', 'b', 'c']);
  await until(() => new Set(first.messages).size === 3 && new Set(second.messages).size === 3);
  t.is(new Set([...first.messages, 'a', 'b', 'c']).size, 3, 'nothing else');
  t.is(new Set([...second.messages, 'a', 'b', 'c']).size, 3, 'nothing else');
}

async function sharesAChannel(t: ExecutionContext, broker: Broker): Promise<void> {
  const topic = uniqueTopic();
  const one = await listen(broker, topic);
  const other = await listen(broker, topic);
  const sent = Array.from({ length: 20 }, (_, index) => `message-${index}`);
  await publishAll(broker, topic, sent);
  const heard = () => [...one.messages, ...other.messages];
  await until(() => new Set(heard()).size === sent.length);
  t.true(heard().length < 2 * sent.length, 'not every message may go to both');
}

async function keepsMessages(t: ExecutionContext, broker: Broker): Promise<void> {
  const before = await listen(broker, uniqueTopic());
  await before.subscription[Symbol.asyncDispose]();
  await broker.publish(before.topic, 'while away');
  const after = await listen(broker, before.topic);
  await until(() => after.messages.length > 0);
  t.deepEqual(before.messages, []);
  t.is(after.messages[0], 'while away');
}

async function forgetsTransient(t: ExecutionContext, broker: Broker): Promise<void> {
  const topic = uniqueTopic();
  const messages: string[] = [];
  const handle = async (message: string) => void messages.push(message);
  const what = { topic, channel: 'test', transient: true, handle };
  const witness = await listen(broker, topic, 'witness');
  await broker.publish(topic, 'first');
  await until(() => witness.messages.length === 1);
  const before = await broker.subscribe(what);
  await before[Symbol.asyncDispose]();
  await broker.ping();
  await broker.publish(topic, 'while away');
  await until(() => witness.messages.includes('while away'));
  await broker.subscribe(what);
  while (messages.length === 0) {
    await broker.publish(topic, 'after');
    await pause(50);
  }
  t.false(messages.includes('while away'));
}

async function finishesOnError(t: ExecutionContext, broker: Broker): Promise<void> {
  const heard: string[] = [];
  const topic = uniqueTopic();
  await broker.subscribe({
    topic,
    channel: 'test',
    handle: async (message) => {
      heard.push(message);
      if (message === 'bad') throw new Error('this handler fails on purpose');
    },
  });
  await publishAll(broker, topic, ['bad', 'good', 'better']);
  await until(() => new Set(heard).size === 3);
  t.true(heard.filter((message) => message === 'bad').length <= 2, 'twice at most, as any message');
}

async function limitsConcurrency(t: ExecutionContext, broker: Broker): Promise<void> {
  const gate = await listenGated(broker, 2);
  await publishAll(broker, gate.topic, ['1', '2', '3', '4', '5']);
  await until(() => gate.running === 2);
  while (new Set(gate.ended).size < 5) {
    await until(() => gate.running > 0);
    t.true(gate.running <= 2, `${gate.running} handlers ran at once`);
    gate.release();
    await pause(1);
  }
  t.true(gate.mostRunning <= 2, `${gate.mostRunning} handlers ran at once`);
}

async function pausesAndResumes(t: ExecutionContext, broker: Broker): Promise<void> {
  const topic = uniqueTopic();
  const witness = await listen(broker, topic, 'witness');
  const heard = await listen(broker, topic);
  heard.subscription.pause();
  await heard.subscription.drain();
  await broker.publish(topic, 'later');
  await until(() => witness.messages.length > 0);
  t.deepEqual(heard.messages, []);
  heard.subscription.resume();
  await until(() => heard.messages.length > 0);
  t.is(heard.messages[0], 'later');
}

async function pausesGently(t: ExecutionContext, broker: Broker): Promise<void> {
  const gate = await listenGated(broker, 1);
  await broker.publish(gate.topic, 'under way');
  await until(() => gate.running === 1);
  gate.subscription.pause();
  gate.release();
  await gate.subscription.drain();
  t.deepEqual(gate.ended, ['under way']);
}

async function drains(t: ExecutionContext, broker: Broker): Promise<void> {
  const gate = await listenGated(broker, 1);
  await gate.subscription.drain();
  await broker.publish(gate.topic, 'slow');
  await until(() => gate.running === 1);
  let drained = false;
  const drain = gate.subscription.drain().then(() => {
    drained = true;
  });
  await broker.ping();
  t.false(drained, 'a handler is running');
  gate.release();
  await drain;
  t.deepEqual(gate.ended, ['slow']);
}

async function disposesSubscription(t: ExecutionContext, broker: Broker): Promise<void> {
  const gate = await listenGated(broker, 1);
  await broker.publish(gate.topic, 'last');
  await until(() => gate.running === 1);
  const disposed = gate.subscription[Symbol.asyncDispose]();
  gate.release();
  await disposed;
  t.deepEqual(gate.ended, ['last']);
  await gate.subscription[Symbol.asyncDispose]();
  const witness = await listen(broker, gate.topic, 'witness');
  await broker.publish(gate.topic, 'unheard');
  await until(() => witness.messages.length > 0);
  t.is(gate.mostRunning, 1);
  t.deepEqual(gate.ended, ['last']);
}

async function disposesBroker(t: ExecutionContext, broker: Broker): Promise<void> {
  const started = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const topic = uniqueTopic();
  let published = false;
  await broker.subscribe({
    topic,
    channel: 'test',
    handle: async () => {
      started.resolve();
      await gate.promise;
      await broker.publish(`${topic}-answers`, 'an answer');
      published = true;
    },
  });
  await broker.publish(topic, 'a question');
  await started.promise;
  const disposed = broker[Symbol.asyncDispose]();
  gate.resolve();
  await disposed;
  t.true(published);
  await t.notThrowsAsync(async () => broker[Symbol.asyncDispose]());
}

async function refusesNames(t: ExecutionContext, broker: Broker): Promise<void> {
  const handle = async () => {};
  for (const bad of ['', 'a b', 'a\nb', 'a/b', 'ä', 'x'.repeat(65)]) {
    t.true(isPlatformError(await fault(broker.publish(bad, 'm')), 'invalid_request'), JSON.stringify(bad));
    const asTopic = broker.subscribe({ topic: bad, channel: 'c', handle });
    t.true(isPlatformError(await fault(asTopic), 'invalid_request'), JSON.stringify(bad));
    const asChannel = broker.subscribe({ topic: uniqueTopic(), channel: bad, handle });
    t.true(isPlatformError(await fault(asChannel), 'invalid_request'), JSON.stringify(bad));
  }
  const long = { topic: uniqueTopic(), channel: 'x'.repeat(55), transient: true, handle };
  t.true(isPlatformError(await fault(broker.subscribe(long)), 'invalid_request'));
  await t.notThrowsAsync(broker.publish(`${uniqueTopic()}.a-Z_9`.padEnd(64, 'x'), 'm'));
}

async function refusesMessages(t: ExecutionContext, broker: Broker): Promise<void> {
  const heard = await listen(broker, uniqueTopic());
  t.true(isPlatformError(await fault(broker.publish(heard.topic, '')), 'invalid_request'));
  const long = 'ü'.repeat(MOST_MESSAGE_BYTES / 2);
  t.true(isPlatformError(await fault(broker.publish(heard.topic, `${long}!`)), 'too_large'));
  await broker.publish(heard.topic, long);
  await until(() => heard.messages.length > 0);
  t.is(heard.messages[0], long);
}

async function isUnavailableAfterwards(t: ExecutionContext, broker: Broker): Promise<void> {
  await broker[Symbol.asyncDispose]();
  const subscribe = { topic: uniqueTopic(), channel: 'test', handle: async () => {} };
  t.true(isPlatformError(await fault(broker.publish(uniqueTopic(), 'm')), 'unavailable'));
  t.true(isPlatformError(await fault(broker.subscribe(subscribe)), 'unavailable'));
  t.true(isPlatformError(await fault(broker.ping()), 'unavailable'));
}

async function publishAll(broker: Broker, topic: string, messages: readonly string[]): Promise<void> {
  for (const message of messages) await broker.publish(topic, message);
}
