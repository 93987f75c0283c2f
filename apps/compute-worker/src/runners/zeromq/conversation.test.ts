import { Duplex } from 'node:stream';
import test from 'ava';
import type { RunnerDesk } from '../protocol.ts';
import { converse } from './conversation.ts';

/** What a ROUTER sends that greets, and then leaves. */
const GREETING = Buffer.concat([
  Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0]),
  Buffer.from('NULL'.padEnd(52, '\0')),
  Buffer.from('\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06ROUTER', 'latin1'),
]);

test('A call that is given in the moment in which the runner leaves is not waited for in vain', async (t) => {
  const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  const faults: string[] = [];
  const desk: RunnerDesk = {
    next: async (_most, signal) =>
      await new Promise((resolve) => {
        const call = { id: 'one', inputs: '/calls/one/inputs', outputs: '/calls/one/outputs' };
        signal.addEventListener('abort', () => resolve([call]), { once: true });
        stream.push(null);
      }),
    answer: () => t.fail(),
    fault: ({ message }) => void faults.push(message),
  };
  stream.push(GREETING);
  await converse(stream, desk);
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(faults, ['The runner closed its connection while it was given a call.']);
});
