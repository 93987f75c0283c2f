import test from 'ava';
import { memoryLog } from '../log/index.ts';
import { testBroker } from './conformance.ts';
import { openMemoryBroker } from './index.ts';

testBroker({ name: 'memory', open: async () => openMemoryBroker() });

test('A full channel drops its oldest messages and says so', async (t) => {
  const log = memoryLog();
  await using broker = openMemoryBroker({ capacity: 3, log });
  const heard: string[] = [];
  const done = Promise.withResolvers<void>();
  const handle = async (message: string) => {
    heard.push(message);
    if (message === '5') done.resolve();
  };
  const subscription = await broker.subscribe({ topic: 'train', channel: 'compute', handle });
  subscription.pause();
  for (const message of ['1', '2', '3', '4', '5']) await broker.publish('train', message);
  subscription.resume();
  await done.promise;
  t.deepEqual(heard, ['3', '4', '5']);
  t.like(log.entries[0], { level: 'warn', topic: 'train', channel: 'compute', dropped: 1, capacity: 3 });
});

test('A handler that throws is logged', async (t) => {
  const log = memoryLog();
  const broker = openMemoryBroker({ log });
  const handled = Promise.withResolvers<void>();
  await broker.subscribe({
    topic: 'train',
    channel: 'compute',
    handle: async () => {
      handled.resolve();
      throw new Error('on purpose');
    },
  });
  await broker.publish('train', 'm');
  await handled.promise;
  await broker[Symbol.asyncDispose]();
  t.like(log.entries[0], { level: 'warn', topic: 'train', error: { message: 'on purpose' } });
});

test('Publishing does not wait for handlers', async (t) => {
  await using broker = openMemoryBroker();
  const gate = Promise.withResolvers<void>();
  await broker.subscribe({ topic: 'train', channel: 'compute', handle: () => gate.promise });
  await broker.publish('train', '1');
  await broker.publish('train', '2');
  gate.resolve();
  t.pass();
});
