import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import type { ExecutionContext } from 'ava';
import { type BlobStore, putBlob } from '../index.ts';
import { type Declare, digestsOf, inPieces, receiveAnd, sha256, throwsCode } from './tools.ts';

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
  of('what is put comes back byte for byte [B1]', async (t, store) => {
    for (const size of [0, 1, 65_536, 3_000_001]) {
      const bytes = randomBytes(size);
      const blob = await putBlob(store, inPieces(bytes));
      t.deepEqual(blob, { digest: sha256(bytes), size });
      t.true((await buffer(await store.get(blob.digest))).equals(bytes));
      t.is((await store.stat(blob.digest))?.size, size);
    }
  });

  of('pieces of any size make the same blob [B1] [B22]', async (t, store) => {
    const bytes = randomBytes(10_000);
    for (const size of [1, 7, 4096, 20_000]) {
      t.is((await putBlob(store, inPieces(bytes, size))).digest, sha256(bytes));
    }
    t.deepEqual(await digestsOf(store), [sha256(bytes)]);
  });

  of('nothing is visible before the last byte has come [B2]', async (t, store) => {
    const bytes = randomBytes(20_000_000);
    let seen: unknown;
    async function* source() {
      yield bytes.subarray(0, 18_000_000);
      seen = [await digestsOf(store), await store.stat(sha256(bytes))];
      yield bytes.subarray(18_000_000);
    }
    await putBlob(store, source());
    t.deepEqual(seen, [[], null]);
    t.deepEqual(await digestsOf(store), [sha256(bytes)]);
  });

  of('the same bytes put at once are stored once [B8]', async (t, store) => {
    const bytes = randomBytes(100_000);
    const blobs = await Promise.all(Array.from({ length: 8 }, () => putBlob(store, inPieces(bytes))));
    t.deepEqual(new Set(blobs.map(({ digest }) => digest)), new Set([sha256(bytes)]));
    t.deepEqual(await digestsOf(store), [sha256(bytes)]);
    t.deepEqual(await store.sweep(0), { files: 0, bytes: 0 });
  });

  of('a second put makes an old blob count as new [B8] [B18]', async (t, store) => {
    const bytes = Buffer.from('again');
    const { digest } = await putBlob(store, inPieces(bytes));
    const first = await store.stat(digest);
    // Some stores tell the time in whole seconds.
    do await putBlob(store, inPieces(bytes));
    while ((await store.stat(digest))?.storedAt.getTime() === first?.storedAt.getTime());
    const [listed] = await Array.fromAsync(store.list());
    t.true((listed?.storedAt.getTime() ?? 0) > (first?.storedAt.getTime() ?? Infinity));
    t.is(listed?.size, bytes.byteLength);
  });

  of('a large blob is the same with its digest and size promised and without [B1]', async (t, store) => {
    const bytes = randomBytes(20_000_000);
    const promised = { digest: sha256(bytes), size: bytes.byteLength };
    for (const options of [{}, promised]) {
      t.deepEqual(await putBlob(store, inPieces(bytes), options), promised);
      t.true((await buffer(await store.get(promised.digest))).equals(bytes));
      t.true(await store.remove(promised.digest));
    }
  });

  of('a sweep spares what this process is writing [B26]', async (t, store) => {
    const bytes = randomBytes(20_000_000);
    let swept: unknown;
    async function* source() {
      yield bytes.subarray(0, 18_000_000);
      swept = await store.sweep(0);
      yield bytes.subarray(18_000_000);
    }
    t.is((await putBlob(store, source())).digest, sha256(bytes));
    t.deepEqual(swept, { files: 0, bytes: 0 });
  });

  of('each piece is copied before the next is asked for [B13]', async (t, store) => {
    const bytes = randomBytes(1_500_000);
    let released = 0;
    async function* source() {
      for await (const piece of inPieces(Buffer.from(bytes), 70_000)) {
        yield piece;
        released += piece.byteLength;
        piece.fill(0);
      }
    }
    const { digest } = await putBlob(store, source());
    t.is(released, bytes.byteLength);
    t.is(digest, sha256(bytes));
    t.true((await buffer(await store.get(digest))).equals(bytes));
  });

  of('an empty store lists nothing and answers a ping [B18] [B22] [B28]', async (t, store) => {
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

  of('a false digest or size is refused and leaves nothing [B3] [B4]', async (t, store) => {
    await throwsCode(t, putBlob(store, inPieces(bytes), { digest: ABSENT }), 'digest_mismatch');
    await throwsCode(t, putBlob(store, inPieces(bytes), { size: bytes.byteLength + 1 }), 'digest_mismatch');
    await leavesNothing(t, store);
    await t.notThrowsAsync(
      putBlob(store, inPieces(bytes), {
        digest: sha256(bytes),
        size: bytes.byteLength,
        limit: bytes.byteLength,
      }),
    );
  });

  of('more bytes than the limit are refused and leave nothing [B3] [B5]', async (t, store) => {
    await throwsCode(t, putBlob(store, inPieces(bytes), { limit: bytes.byteLength - 1 }), 'too_large');
    await leavesNothing(t, store);
  });

  of('the error of a source that breaks off is handed on [B3] [B7]', async (t, store) => {
    const cut = new Error('the line was cut');
    t.is(await t.throwsAsync(putBlob(store, failing(bytes, cut))), cut);
    await leavesNothing(t, store);
  });

  of('an abort ends a put whose source has stalled [B3]', async (t, store) => {
    const abort = new AbortController();
    const put = putBlob(
      store,
      stalling(bytes, () => abort.abort(new Error('given up'))),
      { signal: abort.signal },
    );
    await t.throwsAsync(put, { message: 'given up' });
    await leavesNothing(t, store);
  });
}

/** What is received is there, and stays, while the receiver holds it. */
export function testReceive(of: Declare): void {
  of('what is received is there before the answer [B1]', async (t, store) => {
    const bytes = Buffer.from('committed');
    await using blob = await store.receive(inPieces(bytes));
    t.is((await store.stat(blob.digest))?.size, bytes.byteLength);
    t.false(blob.replaced);
  });

  of('the error of who received it leaves the bytes [B10]', async (t, store) => {
    const refused = new Error('refused');
    const received = receiveAnd(store, Buffer.from('x'), () => Promise.reject(refused));
    t.is(await t.throwsAsync(received), refused);
    t.deepEqual(await digestsOf(store), [sha256(Buffer.from('x'))]);
  });

  of('`replace` is asked about bytes that are there, and no others [B11]', async (t, store) => {
    const bytes = Buffer.from('once more');
    const asked: string[] = [];
    const replaceWith = (answer: boolean) => async (digest: string) => asked.push(digest) > 0 && answer;
    const received = async (answer: boolean) => {
      await using blob = await store.receive(inPieces(bytes), { replace: replaceWith(answer) });
      return blob.replaced;
    };
    t.false(await received(true), 'nothing was there');
    t.deepEqual(asked, []);
    t.false(await received(false));
    t.true(await received(true));
    t.deepEqual(asked, [sha256(bytes), sha256(bytes)]);
    t.true((await buffer(await store.get(sha256(bytes)))).equals(bytes));
    t.deepEqual(await digestsOf(store), [sha256(bytes)]);
  });

  of('no removal is under way while `replace` is asked [B12]', async (t, store) => {
    const bytes = Buffer.from('replaced');
    await putBlob(store, inPieces(bytes));
    const order: string[] = [];
    let removal: Promise<boolean> | undefined;
    const replace = async () => {
      removal = store.remove(sha256(bytes), async () => order.push('removal') === 0);
      // Ample time for a removal that does not wait.
      for (let turn = 0; turn < 20; turn++) await store.stat(sha256(bytes));
      order.push('replaced');
      return true;
    };
    await putBlob(store, inPieces(bytes), { replace });
    await removal;
    t.is(order[0], 'replaced');
  });

  of('no removal begins before what is received is disposed [B9] [B19]', async (t, store) => {
    const bytes = Buffer.from('guarded');
    const order: string[] = [];
    const { promise: isHeld, resolve: entered } = Promise.withResolvers<void>();
    const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>();
    const received = receiveAnd(store, bytes, async () => {
      entered();
      await mayEnd;
      order.push('committed');
    });
    await isHeld;
    const removal = store.remove(sha256(bytes), async () => order.push('asked') > 0);
    // Ample time for a removal that does not wait.
    for (let turn = 0; turn < 20; turn++) await store.stat(sha256(bytes));
    end();
    t.false(await removal);
    await received;
    t.deepEqual(order, ['committed', 'asked']);
    t.not(await store.stat(sha256(bytes)), null);
  });
}
