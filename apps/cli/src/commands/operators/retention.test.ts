import type { Removal } from '@morpheo/common';
import test from 'ava';
import { morpheo } from '../../testing/morpheo.ts';
import { fakePlatform } from '../../testing/platform.ts';

const SLICE: Removal = {
  orders: { learn: 1000, predict: 1, job: 0 },
  history: { count: 12_000, bytes: 2_000_000 },
  logs: { count: 3, bytes: 600 },
  outputs: { count: 0, bytes: 0 },
  ids: 7,
  groups: 1,
};

test('What would go is summed up over all calls, and nothing is removed', async (t) => {
  const asked: (string | undefined)[] = [];
  await using platform = await fakePlatform({
    compute: {
      planRemoval: async ({ query: { from } }) => {
        asked.push(from);
        return from === undefined ? { ...SLICE, next: 'logs.0.' } : SLICE;
      },
    },
  });
  const { stdout, code } = await morpheo(['retention', '--dry-run'], { env: platform.env });
  t.is(code, 0);
  t.deepEqual(asked, [undefined, 'logs.0.']);
  t.regex(stdout, /^Would go now:$/m);
  t.regex(stdout, /^orders \(learn\) +2,000 *$/m);
  t.regex(stdout, /^rows of orders and histories +24,000 +4\.00 MB$/m);
  t.regex(stdout, /^pieces of logs +6 +1\.20 kB$/m);
  t.regex(stdout, /^ids of removed orders +14 *$/m);
});

test('Without --dry-run it is removed, to the end', async (t) => {
  await using platform = await fakePlatform({
    compute: {
      removeOld: async ({ body: { from } }) =>
        from === undefined ? { ...SLICE, next: 'ids.0.' } : { ...SLICE, ids: 0 },
    },
  });
  const { stdout } = await morpheo(['retention', '--json'], { env: platform.env });
  t.like(JSON.parse(stdout), { orders: { learn: 2000, predict: 2 }, ids: 7 });
});
