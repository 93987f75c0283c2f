import test from 'ava';
import { type RunnerKeyParts, runnerKey } from './key.ts';

const PARTS: RunnerKeyParts = {
  protocol: 'runner',
  owner: 'ann',
  problem: 'p',
  image: 'i',
  inputs: { '/data/model': 'm', '/data/words': 'w' },
  args: ['a', 'b'],
  environment: { A: '1', B: '2' },
  limits: { wallMs: 1, outputBytes: 2, diskBytes: 3, diskFiles: 4, memoryBytes: 5 },
  gpus: 0,
};

test('Plans that differ in anything have another key, and those that differ in nothing the same', (t) => {
  const others: readonly Partial<RunnerKeyParts>[] = [
    { protocol: 'zeromq' },
    { owner: 'bob' },
    { owner: '' },
    { problem: undefined },
    { problem: 'q' },
    { image: 'j' },
    { inputs: { '/data/model': 'n', '/data/words': 'w' } },
    { inputs: { '/data/model': 'm' } },
    { inputs: { '/data/model': 'w', '/data/words': 'm' } },
    { args: ['a b'] },
    { args: [] },
    { args: undefined },
    { environment: { A: '1' } },
    { environment: { A: '1', B: '3' } },
    ...(['wallMs', 'outputBytes', 'diskBytes', 'diskFiles', 'memoryBytes'] as const).map((limit) => ({
      limits: { ...PARTS.limits, [limit]: 9 },
    })),
    { limits: { ...PARTS.limits, cpus: 1 } },
    { gpus: 1 },
  ];
  const keys = [PARTS, ...others.map((other) => ({ ...PARTS, ...other }))].map(runnerKey);
  t.is(new Set(keys).size, others.length + 1);
  const turned = { inputs: { '/data/words': 'w', '/data/model': 'm' }, environment: { B: '2', A: '1' } };
  t.is(runnerKey({ ...PARTS, ...turned }), keys[0] ?? '');
});
