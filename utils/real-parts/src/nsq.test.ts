import test from 'ava';
import { startNsqd, withParts } from './index.ts';

withParts(test, 'nsq')('A wiped nsqd starts again with nothing, at the same address', async (t) => {
  await using nsqd = await startNsqd();
  const url = `http://${nsqd.http}`;
  await fetch(`${url}/topic/create?topic=train`, { method: 'POST' });
  const topics = async () => (await (await fetch(`${url}/stats?format=json`)).text()).includes('"train"');
  t.true(await topics());
  await nsqd.wipe();
  await t.throwsAsync(fetch(url));
  await nsqd.start();
  t.false(await topics());
});
