import { buffer, text } from 'node:stream/consumers';
import { isPlatformError } from '@morpheo/common';
import test, { type ExecutionContext, type TestFn } from 'ava';
import type { JobStore } from './store.ts';

/** A store that a test may fill, and what removes it. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly store: JobStore;
  /** A name of a bucket that nothing else has. */
  readonly bucket: string;
  /** Opens the same place once more, as another process would; it goes with the store. */
  readonly reopen: () => Promise<JobStore>;
}

/**
 * Declares the tests of {@link JobStore}'s contract, each with the numbers of the sentences that it shows. `declare` is ava's
 * `test`, or what stands in for it where a part is missing.
 */
export function testJobStore(
  driver: string,
  open: () => Promise<StoreUnderTest>,
  declare: Pick<TestFn, 'skip'> & TestFn = test,
): void {
  const of = (title: string, body: (t: ExecutionContext, under: StoreUnderTest) => Promise<void>) =>
    declare(`${driver}: ${title}`, async (t) => {
      await using under = await open();
      await body(t, under);
    });
  of(
    'of several that make a bucket one alone has made it, and then it is there [J1] [J2]',
    async (t, under) => {
      const { store, bucket } = under;
      t.false(await store.has(bucket));
      const told = await Promise.all(Array.from({ length: 4 }, async () => await store.create(bucket)));
      t.deepEqual(told.sort(), ['made', 'there', 'there', 'there']);
      t.true(await store.has(bucket));
      t.true(await (await under.reopen()).has(bucket));
    },
  );
  of('a file is read as it was put, and what was there is replaced [J3]', async (t, { store, bucket }) => {
    await store.create(bucket);
    const large = Buffer.alloc(700_000, 'täglich ');
    for (const bytes of [Buffer.from('ä'), large, Buffer.alloc(0)]) {
      await store.put(bucket, 'inputs/input', bytes);
      await store.write(bucket, 'outputs/a/b', piecesOf(bytes));
      for (const name of ['inputs/input', 'outputs/a/b']) {
        const file = await store.read(bucket, name);
        t.is(file?.size, bytes.byteLength);
        t.true(file !== undefined && bytes.equals(await buffer(file.body)));
        t.like(await store.stat(bucket, name), { size: bytes.byteLength });
      }
    }
    const before = (await store.stat(bucket, 'inputs/input'))?.storedAt.getTime() ?? 0;
    t.true(Math.abs(before - Date.now()) < 600_000, `${before}`);
    await (await store.read(bucket, 'inputs/input'))?.body.cancel();
  });
  of('what is put only where nothing is leaves what is there [J4]', async (t, { store, bucket }) => {
    await store.create(bucket);
    for (const word of ['first', 'second']) await store.put(bucket, 'job', Buffer.from(word), 'new');
    t.is(await textOf(store, bucket, 'job'), 'first');
  });
  of('a file that breaks off leaves what was there [J5]', async (t, { store, bucket }) => {
    await store.create(bucket);
    await store.put(bucket, 'file', Buffer.from('whole'));
    for (const name of ['file', 'other']) {
      await t.throwsAsync(store.write(bucket, name, brokenOff()), { message: 'cut' });
    }
    t.is(await textOf(store, bucket, 'file'), 'whole');
    t.is(await store.read(bucket, 'other'), undefined);
  });
  of('files are listed by a prefix [J6]', async (t, { store, bucket }) => {
    await store.create(bucket);
    const names = ['inputs/input', 'inputs/a/b c', 'inputs/é+%', 'outputs/output', 'inputsx'];
    for (const name of names) await store.put(bucket, name, Buffer.from(name));
    const found = await Array.fromAsync(store.list(bucket, 'inputs/'));
    t.deepEqual(Object.fromEntries(found.map(({ name, size }) => [name, size])), {
      'a/b c': 12,
      input: 12,
      'é+%': 11,
    });
  });
  of('in a bucket that is not there is nothing, and nothing is put [J7]', async (t, { store, bucket }) => {
    t.is(await store.read(bucket, 'inputs/input'), undefined);
    t.is(await store.stat(bucket, 'inputs/input'), undefined);
    t.deepEqual(await Array.fromAsync(store.list(bucket, '')), []);
    const isNone = (error: unknown) => isPlatformError(error, 'not_found');
    t.true(isNone(await t.throwsAsync(store.put(bucket, 'a', Buffer.from('a')))));
    t.true(isNone(await t.throwsAsync(store.write(bucket, 'a', piecesOf(Buffer.from('a'))))));
    t.false(await store.has(bucket));
  });
  of('no name leads out of its bucket [J9]', async (t, { store, bucket }) => {
    const other = `${bucket}-other`;
    for (const one of [bucket, other]) await store.create(one);
    await store.put(other, 'secret', Buffer.from('secret'));
    for (const name of [
      `../${other}/secret`,
      `a/../../${other}/secret`,
      `/${other}/secret`,
      `./../${other}/secret`,
    ]) {
      t.is(await store.read(bucket, name).catch(() => undefined), undefined, name);
      await store.put(bucket, name, Buffer.from('changed')).catch(() => undefined);
    }
    t.is(await textOf(store, other, 'secret'), 'secret');
  });
}

/** The contract of a store that is away: `down` is one. */
export function testAbsentJobStore(driver: string, down: () => Promise<StoreUnderTest>): void {
  test(`${driver}: of a store that is away every call says so [J8]`, async (t) => {
    await using under = await down();
    const { store, bucket } = under;
    const calls: (() => Promise<unknown>)[] = [
      async () => await store.create(bucket),
      async () => await store.has(bucket),
      async () => await store.read(bucket, 'a'),
      async () => await store.stat(bucket, 'a'),
      async () => await store.put(bucket, 'a', Buffer.from('a')),
      async () => await store.write(bucket, 'a', piecesOf(Buffer.from('a'))),
      async () => await Array.fromAsync(store.list(bucket, 'a')),
      async () => await store.ping(AbortSignal.timeout(60_000)),
    ];
    const errors = await Promise.all(
      calls.map(async (call) => await call().catch((error: unknown) => error)),
    );
    t.deepEqual(
      errors.map((error) => isPlatformError(error, 'unavailable')),
      calls.map(() => true),
      String(errors),
    );
  });
}

async function textOf(store: JobStore, bucket: string, name: string): Promise<string | undefined> {
  const file = await store.read(bucket, name);
  return file && (await text(file.body));
}

async function* piecesOf(bytes: Uint8Array) {
  for (let at = 0; at < bytes.byteLength; at += 100_000) yield bytes.subarray(at, at + 100_000);
}

async function* brokenOff(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('ha');
  throw new Error('cut');
}
