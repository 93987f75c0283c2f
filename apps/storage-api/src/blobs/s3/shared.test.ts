import { setTimeout as pause } from 'node:timers/promises';
import { ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import type { ExecutionContext } from 'ava';
import { openTestBucket, sharedMinio, minioTest as test } from '../../testing/minio.ts';
import { inPieces, receiveAnd, sha256, testBlobStore } from '../conformance/index.ts';
import { putBlob } from '../index.ts';

const minio = sharedMinio();

testBlobStore('shared s3', async () => await openTestBucket(await minio(), { shared: true }), test);

/** Two stores as two processes have them, on one bucket. */
async function openTwo() {
  await using stack = new AsyncDisposableStack();
  const one = stack.use(await openTestBucket(await minio(), { shared: true }));
  const { bucket } = one.options;
  const other = stack.use(await openTestBucket(one.server, { bucket, shared: true }));
  const opened = stack.move();
  return { one, other, bucket, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}

test('puts and removals by two processes never lose a committed blob', async (t) => {
  t.timeout(300_000);
  await using two = await openTwo();
  const bytes = Buffer.from('contested');
  const digest = sha256(bytes);
  for (let round = 0; round < 40; round++) {
    const [putter, remover] =
      round % 2 === 0 ? [two.one.store, two.other.store] : [two.other.store, two.one.store];
    await putBlob(remover, inPieces(bytes));
    let needed = false;
    const aWhile = async () => await pause(Math.random() * 15);
    // An answer that is old by the time it is given.
    const unless = async () => {
      const answer = needed;
      await aWhile();
      return answer;
    };
    const commit = async () => {
      await aWhile();
      needed = true;
    };
    await Promise.all([
      aWhile().then(() => remover.remove(digest, unless)),
      aWhile().then(() => receiveAnd(putter, bytes, commit)),
    ]);
    t.not(await two.one.store.stat(digest), null, `round ${round}`);
  }
});

test('a removal gives up while another process commits', async (t) => {
  await using two = await openTwo();
  const bytes = Buffer.from('contested');
  let removed: boolean | undefined;
  const commit = async () => {
    removed = await two.other.store.remove(sha256(bytes));
  };
  await receiveAnd(two.one.store, bytes, commit);
  t.false(removed);
  t.is((await two.one.store.stat(sha256(bytes)))?.size, bytes.byteLength);
  t.true(await two.other.store.remove(sha256(bytes)));
});

async function intentsIn({ one: { server }, bucket }: Awaited<ReturnType<typeof openTwo>>): Promise<number> {
  const { KeyCount = 0 } = await server.client.send(
    new ListObjectsV2Command({ Bucket: bucket, Prefix: 'intent/' }),
  );
  return KeyCount;
}

async function announceAsDead(
  { one: { server }, bucket }: Awaited<ReturnType<typeof openTwo>>,
  what: string,
  digest: string,
) {
  const Key = `intent/${digest}/dead.${what}.1`;
  await server.client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: 'x' }));
}

test('what a dead process announced holds until it is swept', async (t: ExecutionContext) => {
  t.timeout(300_000);
  await using two = await openTwo();
  const bytes = Buffer.from('held');
  const digest = sha256(bytes);
  await putBlob(two.one.store, inPieces(bytes));
  t.is(await intentsIn(two), 0);
  await announceAsDead(two, 'put', digest);
  t.false(await two.one.store.remove(digest));
  await announceAsDead(two, 'remove', digest);
  await t.throwsAsync(putBlob(two.one.store, inPieces(bytes)), { message: /try again in two minutes/ });
  await two.one.store.sweep(0);
  t.is(await intentsIn(two), 0);
  await putBlob(two.one.store, inPieces(bytes));
  t.true(await two.one.store.remove(digest));
});
