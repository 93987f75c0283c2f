import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { isPlatformError, type PlatformError } from '@morpheo/common';
import test, { type ExecutionContext, type TestFn } from 'ava';
import type { BlobStore } from './index.ts';

/** A store that a test may fill, and what removes it. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly store: BlobStore;
}

const ABSENT = 'f'.repeat(64);

/** The SHA-256 of some bytes in lower-case hexadecimal. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Yields `bytes` in pieces of at most `size` bytes. */
export async function* inPieces(bytes: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
}

async function* failing(bytes: Uint8Array, error: Error): AsyncGenerator<Uint8Array> {
  yield bytes;
  throw error;
}

async function* stalling(bytes: Uint8Array, stalled: () => void): AsyncGenerator<Uint8Array> {
  yield bytes;
  stalled();
  await new Promise(() => {});
}

async function digestsOf(store: BlobStore): Promise<string[]> {
  return (await Array.fromAsync(store.list())).map(({ digest }) => digest);
}

async function throwsCode(t: ExecutionContext, work: Promise<unknown>, code: PlatformError['code']) {
  const error = await t.throwsAsync(work);
  t.true(isPlatformError(error, code), `${code} was expected, this came: ${error}`);
}

/**
 * Declares the tests of {@link BlobStore}'s contract; `open` makes an empty store of the driver named `driver`.
 * `declare` is ava's `test`, or what stands in for it where a part is missing.
 */
export function testBlobStore(
  driver: string,
  open: () => Promise<StoreUnderTest>,
  declare: Pick<TestFn, 'skip'> & TestFn = test,
): void {
  const of = (title: string, body: (t: ExecutionContext, store: BlobStore) => Promise<void>) =>
    declare(`${driver}: ${title}`, async (t) => {
      await using under = await open();
      await body(t, under.store);
    });
  testPut(of);
  testRefusedPut(of);
  testCommit(of);
  testGet(of);
  testRemove(of);
}

type Declare = (title: string, body: (t: ExecutionContext, store: BlobStore) => Promise<void>) => void;

function testPut(of: Declare): void {
  of('what is put comes back byte for byte', async (t, store) => {
    for (const size of [0, 1, 65_536, 3_000_001]) {
      const bytes = randomBytes(size);
      const blob = await store.put(inPieces(bytes));
      t.deepEqual(blob, { digest: sha256(bytes), size });
      t.true((await buffer(await store.get(blob.digest))).equals(bytes));
      t.is((await store.stat(blob.digest))?.size, size);
    }
  });

  of('pieces of any size make the same blob', async (t, store) => {
    const bytes = randomBytes(10_000);
    for (const size of [1, 7, 4096, 20_000]) {
      t.is((await store.put(inPieces(bytes, size))).digest, sha256(bytes));
    }
    t.deepEqual(await digestsOf(store), [sha256(bytes)]);
  });

  of('the same bytes put at once are stored once', async (t, store) => {
    const bytes = randomBytes(100_000);
    const blobs = await Promise.all(Array.from({ length: 8 }, () => store.put(inPieces(bytes))));
    t.deepEqual(new Set(blobs.map(({ digest }) => digest)), new Set([sha256(bytes)]));
    t.deepEqual(await digestsOf(store), [sha256(bytes)]);
    t.deepEqual(await store.sweep(0), { files: 0, bytes: 0 });
  });

  of('a second put makes an old blob count as new', async (t, store) => {
    const bytes = Buffer.from('again');
    const { digest } = await store.put(inPieces(bytes));
    const first = await store.stat(digest);
    // Some stores tell the time in whole seconds.
    do await store.put(inPieces(bytes));
    while ((await store.stat(digest))?.storedAt.getTime() === first?.storedAt.getTime());
    const [listed] = await Array.fromAsync(store.list());
    t.true((listed?.storedAt.getTime() ?? 0) > (first?.storedAt.getTime() ?? Infinity));
    t.is(listed?.size, bytes.byteLength);
  });

  of('a large blob is the same with its digest and size promised and without', async (t, store) => {
    const bytes = randomBytes(20_000_000);
    const promised = { digest: sha256(bytes), size: bytes.byteLength };
    for (const options of [{}, promised]) {
      t.deepEqual(await store.put(inPieces(bytes), options), promised);
      t.true((await buffer(await store.get(promised.digest))).equals(bytes));
      t.true(await store.remove(promised.digest));
    }
  });

  of('a sweep spares what this process is writing', async (t, store) => {
    const bytes = randomBytes(20_000_000);
    let swept: unknown;
    async function* source() {
      yield bytes.subarray(0, 18_000_000);
      swept = await store.sweep(0);
      yield bytes.subarray(18_000_000);
    }
    t.is((await store.put(source())).digest, sha256(bytes));
    t.deepEqual(swept, { files: 0, bytes: 0 });
  });

  of('each piece is released once it is copied', async (t, store) => {
    const bytes = randomBytes(1_500_000);
    let released = 0;
    const release = (piece: Uint8Array) => {
      released += piece.byteLength;
      piece.fill(0);
    };
    const { digest } = await store.put(inPieces(Buffer.from(bytes), 70_000), { release });
    t.is(released, bytes.byteLength);
    t.is(digest, sha256(bytes));
    t.true((await buffer(await store.get(digest))).equals(bytes));
  });

  of('an empty store lists nothing and answers a ping', async (t, store) => {
    t.deepEqual(await digestsOf(store), []);
    t.is(await store.stat(ABSENT), null);
    await t.notThrowsAsync(store.ping());
  });
}

function testRefusedPut(of: Declare): void {
  const bytes = randomBytes(200_000);
  const leavesNothing = async (t: ExecutionContext, store: BlobStore) => {
    t.deepEqual(await digestsOf(store), []);
    t.deepEqual(await store.sweep(0), { files: 0, bytes: 0 });
  };

  of('a false digest or size is refused and leaves nothing', async (t, store) => {
    await throwsCode(t, store.put(inPieces(bytes), { digest: ABSENT }), 'digest_mismatch');
    await throwsCode(t, store.put(inPieces(bytes), { size: bytes.byteLength + 1 }), 'digest_mismatch');
    await leavesNothing(t, store);
    await t.notThrowsAsync(
      store.put(inPieces(bytes), { digest: sha256(bytes), size: bytes.byteLength, limit: bytes.byteLength }),
    );
  });

  of('more bytes than the limit are refused and leave nothing', async (t, store) => {
    await throwsCode(t, store.put(inPieces(bytes), { limit: bytes.byteLength - 1 }), 'too_large');
    await leavesNothing(t, store);
  });

  of('the error of a source that breaks off is handed on', async (t, store) => {
    const cut = new Error('the line was cut');
    t.is(await t.throwsAsync(store.put(failing(bytes, cut))), cut);
    await leavesNothing(t, store);
  });

  of('an abort ends a put whose source has stalled', async (t, store) => {
    const abort = new AbortController();
    const put = store.put(
      stalling(bytes, () => abort.abort(new Error('given up'))),
      { signal: abort.signal },
    );
    await t.throwsAsync(put, { message: 'given up' });
    await leavesNothing(t, store);
  });
}

function testCommit(of: Declare): void {
  of('a commit sees the blob and comes before the answer', async (t, store) => {
    let seen: number | undefined;
    const bytes = Buffer.from('committed');
    await store.put(inPieces(bytes), {
      commit: async ({ digest }) => {
        seen = (await store.stat(digest))?.size;
      },
    });
    t.is(seen, bytes.byteLength);
  });

  of('the error of a commit leaves put and the bytes stay', async (t, store) => {
    const refused = new Error('refused');
    const put = store.put(inPieces(Buffer.from('x')), { commit: () => Promise.reject(refused) });
    t.is(await t.throwsAsync(put), refused);
    t.deepEqual(await digestsOf(store), [sha256(Buffer.from('x'))]);
  });

  of('no removal begins while a commit is under way', async (t, store) => {
    const bytes = Buffer.from('guarded');
    const order: string[] = [];
    const { promise: inCommit, resolve: entered } = Promise.withResolvers<void>();
    const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>();
    const put = store.put(inPieces(bytes), {
      commit: async () => {
        entered();
        await mayEnd;
        order.push('committed');
      },
    });
    await inCommit;
    const removal = store.remove(sha256(bytes), async () => order.push('asked') > 0);
    // Ample time for a removal that does not wait.
    for (let turn = 0; turn < 20; turn++) await store.stat(sha256(bytes));
    end();
    t.false(await removal);
    await put;
    t.deepEqual(order, ['committed', 'asked']);
    t.not(await store.stat(sha256(bytes)), null);
  });
}

function testGet(of: Declare): void {
  of('a range is inclusive at both ends', async (t, store) => {
    const { digest } = await store.put(inPieces(Buffer.from('0123456789')));
    for (const [start, end] of [
      [0, 0],
      [3, 5],
      [9, 9],
      [0, 9],
    ] as const) {
      const part = await buffer(await store.get(digest, { start, end }));
      t.is(part.toString(), '0123456789'.slice(start, end + 1));
    }
  });

  of('an unknown blob is not found', async (t, store) => {
    await throwsCode(t, store.get(ABSENT), 'not_found');
    await throwsCode(t, store.get('../../etc/passwd'), 'not_found');
  });

  of('a read that is cancelled frees the blob', async (t, store) => {
    const { digest } = await store.put(inPieces(randomBytes(2_000_000)));
    const reader = (await store.get(digest)).getReader();
    await reader.read();
    await t.notThrowsAsync(reader.cancel());
  });

  of('a blob removed while it is read is read to its end', async (t, store) => {
    const bytes = randomBytes(2_000_000);
    const { digest } = await store.put(inPieces(bytes));
    const stream = await store.get(digest);
    await store.remove(digest);
    t.true((await buffer(stream)).equals(bytes));
  });
}

function testRemove(of: Declare): void {
  of('what is removed is gone, and again is harmless', async (t, store) => {
    const { digest } = await store.put(inPieces(Buffer.from('gone')));
    t.true(await store.remove(digest));
    t.false(await store.remove(digest));
    t.is(await store.stat(digest), null);
    await throwsCode(t, store.get(digest), 'not_found');
  });

  of('a removal that is objected to does nothing', async (t, store) => {
    const { digest } = await store.put(inPieces(Buffer.from('needed')));
    t.false(await store.remove(digest, async () => true));
    t.not(await store.stat(digest), null);
  });

  of('puts and removals of one blob at once never lose a committed one', async (t, store) => {
    const bytes = Buffer.from('contested');
    const digest = sha256(bytes);
    let needed = false;
    const commit = async () => {
      needed = true;
    };
    // An answer that is old by the time it is given.
    const unless = async () => {
      const answer = needed;
      for (let turn = 0; turn < 5; turn++) await store.stat(ABSENT);
      return answer;
    };
    for (let round = 0; round < 20; round++) {
      needed = false;
      await store.remove(digest);
      await Promise.all([
        store.put(inPieces(bytes)),
        store.remove(digest, unless),
        store.put(inPieces(bytes), { commit }),
        store.remove(digest, unless),
      ]);
      t.not(await store.stat(digest), null);
    }
  });
}
