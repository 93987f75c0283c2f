import type { Produced } from '@morpheo/common';
import { rawTar } from '@morpheo/service/archive/testing';
import type { ExecutionContext } from 'ava';
import { refused, textOf } from '../testing/expect.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestStorage } from '../testing/open-storage.ts';
import { attemptOf, learnRequest, type PinnedAnswer, pinned } from '../testing/pins.ts';
import { bodyOf, id, sha256, sorted } from '../testing/requests.ts';

const produces: Produced = { type: 'output', uuid: id(2001) };
const NOW = { checkpointEveryMs: 0 };

/** A job, which names nothing. */
async function pinJob(t: ExecutionContext, storage: TestStorage, round = 1): Promise<PinnedAnswer> {
  return await pinned(t, storage, learnRequest(1, { kind: 'job', uses: [], produces, round }));
}

const put = ({ api }: TestStorage, pin: PinnedAnswer, attempt: number, bytes: string, digest?: string) =>
  api.putCheckpoint(
    { params: { order: pin.order, attempt }, body: bodyOf(bytes, { contentDigest: digest }) },
    attemptOf(pin, attempt),
  );

const get = async ({ api }: TestStorage, pin: PinnedAnswer, attempt: number) =>
  await textOf(await api.getCheckpoint({ params: { order: pin.order, attempt } }, attemptOf(pin, attempt)));

const stage = ({ api }: TestStorage, pin: PinnedAnswer) =>
  api.stageResult(
    { params: { order: pin.order, attempt: 2 }, query: produces, body: bodyOf(rawTar([])) },
    attemptOf(pin, 2),
  );

testOnEngines('The latest checkpoint of an order is kept, for its next attempt as well', async (t, open) => {
  await using storage = await open(NOW);
  const pin = await pinJob(t, storage);
  await refused(t, get(storage, pin, 1), 'not_found');
  t.deepEqual(await put(storage, pin, 1, 'first'), { size: 5, sha256: sha256('first') });
  await put(storage, pin, 1, 'second');
  t.deepEqual(await storage.files(), [sha256('second')]);
  t.is(await get(storage, pin, 2), 'second');
  await put(storage, pin, 2, 'third');
  t.is(await get(storage, pin, 2), 'third');
  await put(storage, pin, 2, 'third');
  t.deepEqual(await storage.files(), [sha256('third')]);
});

testOnEngines('An attempt that was overtaken changes no checkpoint', async (t, open) => {
  await using storage = await open(NOW);
  const pin = await pinJob(t, storage);
  await put(storage, pin, 1, 'first');
  await get(storage, pin, 2);
  await refused(t, put(storage, pin, 1, 'late'), 'stale_attempt', /Attempt 2 of order .* has begun/);
  await refused(t, get(storage, pin, 1), 'stale_attempt');
  t.is(await get(storage, pin, 2), 'first');
  t.deepEqual(await storage.files(), [sha256('first')]);
});

testOnEngines('An attempt that is overtaken while it sends a checkpoint changes nothing', async (t, open) => {
  await using storage = await open(NOW);
  const pin = await pinJob(t, storage);
  await put(storage, pin, 1, 'first');
  async function* slow() {
    yield Buffer.from('la');
    await get(storage, pin, 2);
    yield Buffer.from('te');
  }
  const params = { order: pin.order, attempt: 1 };
  const late = storage.api.putCheckpoint({ params, body: { body: slow() } }, attemptOf(pin, 1));
  await refused(t, late, 'stale_attempt');
  t.deepEqual(await storage.files(), [sha256('first')]);
  async function* ending() {
    yield Buffer.from('la');
    await storage.api.discardResults({ params: { order: pin.order }, query: { round: 1 } });
    yield Buffer.from('te');
  }
  const after = storage.api.putCheckpoint(
    { params: { ...params, attempt: 2 }, body: { body: ending() } },
    attemptOf(pin, 2),
  );
  await refused(t, after, 'stale_attempt', /is released/);
  t.deepEqual(await storage.files(), []);
});

for (const [how, end] of [
  [
    'published',
    async (storage: TestStorage, pin: PinnedAnswer) => {
      await stage(storage, pin);
      await storage.api.publishResult({ params: { order: pin.order, attempt: 2 }, query: {} });
    },
  ],
  [
    'dropped',
    async ({ api }: TestStorage, { order }: PinnedAnswer) => {
      await api.discardResults({ params: { order }, query: { round: 1 } });
    },
  ],
] as const)
  testOnEngines(`The checkpoint of an order goes when its results are ${how}`, async (t, open) => {
    await using storage = await open(NOW);
    const pin = await pinJob(t, storage);
    await put(storage, pin, 2, 'state');
    await end(storage, pin);
    t.false((await storage.files()).includes(sha256('state')));
    await refused(t, put(storage, pin, 3, 'late'), 'stale_attempt');
    t.deepEqual(await storage.database.read.selectFrom('checkpoints').selectAll().execute(), []);
  });

testOnEngines('An order that is begun again has no checkpoint of the round before', async (t, open) => {
  await using storage = await open(NOW);
  const before = await pinJob(t, storage);
  await put(storage, before, 1, 'state');
  const again = await pinJob(t, storage, 2);
  await refused(t, get(storage, again, 2), 'not_found');
  await put(storage, again, 2, 'other');
  t.deepEqual(await storage.files(), [sha256('other')]);
});

testOnEngines('A checkpoint is not collected while its order goes on', async (t, open) => {
  await using storage = await open({ ...NOW, stagedMaxAgeMs: -1, orphanGraceMs: -1 });
  const pin = await pinJob(t, storage);
  await put(storage, pin, 1, 'state');
  t.is((await storage.collect({ dryRun: true })).expired.blobs, 0);
  await storage.sweep();
  t.is(await get(storage, pin, 1), 'state');
});

testOnEngines(
  'A checkpoint is what was announced, within bounds, and counts as its owner’s',
  async (t, open) => {
    await using storage = await open({ ...NOW, maxCheckpointBytes: 10, quotas: { ann: 8 } });
    const pin = await pinJob(t, storage);
    await refused(t, put(storage, pin, 1, 'x'.repeat(11)), 'too_large', /10 bytes/);
    async function* long() {
      yield Buffer.alloc(11);
    }
    const params = { order: pin.order, attempt: 1 };
    const unannounced = () =>
      storage.api.putCheckpoint({ params, body: { body: long() } }, attemptOf(pin, 1));
    await refused(t, unannounced(), 'quota_exceeded');
    await refused(t, put(storage, pin, 1, 'x'.repeat(9)), 'quota_exceeded');
    await refused(t, put(storage, pin, 1, 'x', `sha-256=:${btoa('x'.repeat(32))}:`), 'digest_mismatch');
    t.deepEqual(await storage.files(), []);
    await put(storage, pin, 1, 'x'.repeat(8));
    await put(storage, pin, 1, 'y'.repeat(8));
    const { owners, stored_bytes } = await storage.api.usage({});
    t.like(owners[0], { owner: 'ann', bytes: 8, kinds: [{ kind: 'staged', count: 1, bytes: 8 }] });
    t.is(stored_bytes, 8);
  },
);

testOnEngines('Checkpoints that come one upon the other are refused for a while', async (t, open) => {
  await using storage = await open({ checkpointEveryMs: 3_600_000 });
  const pin = await pinJob(t, storage);
  await put(storage, pin, 1, 'first');
  const error = await t.throwsAsync(put(storage, pin, 1, 'second'), { code: 'rate_limited' });
  t.regex(error?.message ?? '', /wait 3[56]\d\d s/);
  t.deepEqual(await storage.files(), [sha256('first')]);
});

testOnEngines('Checkpoints are for the ticket of their own attempt', async (t, open) => {
  await using storage = await open(NOW);
  const pin = await pinJob(t, storage);
  await put(storage, pin, 1, 'state');
  const params = { order: pin.order, attempt: 1 };
  const worker = { principal: { name: 'w', roles: ['admin'] } } as const;
  for (const caller of [worker, undefined, attemptOf(pin, 2), attemptOf({ ...pin, order: id(1002) })]) {
    await refused(t, storage.api.getCheckpoint({ params }, caller), 'forbidden');
    await refused(t, storage.api.putCheckpoint({ params, body: bodyOf('x') }, caller), 'forbidden');
  }
  t.deepEqual(sorted(await storage.files()), [sha256('state')]);
});
