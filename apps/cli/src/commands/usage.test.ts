import test from 'ava';
import { morpheo } from '../testing/morpheo.ts';
import { fakePlatform } from '../testing/platform.ts';

test('What is used is shown by owner and kind', async (t) => {
  const alice = {
    ...{ owner: 'al\u001b[1mice', bytes: 2_500_000, freeable_bytes: 0, quota: 10_000_000 },
    ...{ open_uploads: 2, reserved_bytes: 3_000_000 },
    kinds: [
      { kind: 'data' as const, count: 1200, bytes: 2_000_000 },
      { kind: 'model' as const, count: 1, bytes: 500_000 },
    ],
  };
  const unknown = {
    owner: '',
    bytes: 7,
    freeable_bytes: 7,
    kinds: [{ kind: 'algo' as const, count: 1, bytes: 7 }],
  };
  const used = {
    ...{ owners: [alice, unknown], bytes: 2_500_007, blobs: 1100 },
    ...{ stored_bytes: 1_500_007, saved_bytes: 1_000_000 },
  };
  await using platform = await fakePlatform({ storage: { usage: async () => used } });
  const { stdout, code } = await morpheo(['usage'], { env: platform.env });
  t.is(code, 0);
  t.regex(stdout, /^al.\[1mice +data +1,200 +2\.00 MB *$/m);
  t.regex(stdout, /^al.\[1mice +all +1,201 +2\.50 MB +10\.0 MB$/m);
  t.regex(stdout, /^al.\[1mice +under way +2 +3\.00 MB *$/m);
  t.regex(stdout, /^– +all +1 +7 B +–$/m);
  t.regex(
    stdout,
    /2\.50 MB in all, kept in 1\.50 MB \(1,100 blobs\); 1\.00 MB saved by keeping equal bytes once\.\n$/,
  );
  t.false(stdout.includes('\u001b'));
  t.deepEqual(JSON.parse((await morpheo(['usage', '--json'], { env: platform.env })).stdout), used);
});
