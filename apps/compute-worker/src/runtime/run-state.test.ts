import { PassThrough } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import { RunState } from './run-state.ts';

test('The last words of a program that was silent for long are passed on, however late they are read', async (t) => {
  const printed: string[] = [];
  const onOutput = async ({ bytes }: { readonly bytes: Uint8Array }) =>
    void printed.push(`${Buffer.from(bytes)}`);
  using state = new RunState({ signal: new AbortController().signal, onOutput }, 1000, 200);
  const pipe = new PassThrough();
  const pumped = state.pump('stderr', pipe);
  // So long that it counts as silent.
  await setTimeout(250);
  state.end({ kind: 'exited' });
  const drained = state.drained(pumped);
  setImmediate(() => pipe.end('the last words'));
  await drained;
  t.deepEqual(printed, ['the last words']);
});
