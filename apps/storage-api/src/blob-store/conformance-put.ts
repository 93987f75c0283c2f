import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import type { ExecutionContext } from 'ava';
import { type Declare, digestsOf, inPieces, sha256, throwsCode } from './conformance-tools.ts';
import type { BlobStore } from './index.ts';

const ABSENT = 'f'.repeat(64);

async function* failing(bytes: Uint8Array, error: Error): AsyncGenerator<Uint8Array> {
  yield bytes;
  throw error;
}

async function* stalling(bytes: Uint8Array, stalled: () => void): AsyncGenerator<Uint8Array> {
  yield bytes;
  stalled();
  await new Promise(() => {});
}

/** What is put is kept, once, by its digest. */
export function testPut(of: Declare): void {
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

/** What cannot be put whole leaves nothing. */
export function testRefusedPut(of: Declare): void {
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

/** What is put is there when it is committed to, and not otherwise. */
export function testCommit(of: Declare): void {
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
