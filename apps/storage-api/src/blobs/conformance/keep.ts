import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { putBlob } from '../index.ts';
import { type Declare, inPieces, receiveAnd, sha256, throwsCode } from './tools.ts';

const ABSENT = 'f'.repeat(64);

/** What is kept is read as it was put. */
export function testGet(of: Declare): void {
  of('a range is inclusive at both ends [B14]', async (t, store) => {
    const { digest } = await putBlob(store, inPieces(Buffer.from('0123456789')));
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

  of('an unknown blob is not found [B15]', async (t, store) => {
    await throwsCode(t, store.get(ABSENT), 'not_found');
    await throwsCode(t, store.get('../../etc/passwd'), 'not_found');
  });

  of('a read that is cancelled frees the blob [B16]', async (t, store) => {
    const { digest } = await putBlob(store, inPieces(randomBytes(2_000_000)));
    const reader = (await store.get(digest)).getReader();
    await reader.read();
    await t.notThrowsAsync(reader.cancel());
  });

  of('a blob removed while it is read is read to its end [B17]', async (t, store) => {
    const bytes = randomBytes(2_000_000);
    const { digest } = await putBlob(store, inPieces(bytes));
    const stream = await store.get(digest);
    await store.remove(digest);
    t.true((await buffer(stream)).equals(bytes));
  });
}

/** What is removed is gone, unless somebody needs it. */
export function testRemove(of: Declare): void {
  of('what is removed is gone, and again is harmless [B20]', async (t, store) => {
    const { digest } = await putBlob(store, inPieces(Buffer.from('gone')));
    t.true(await store.remove(digest));
    t.false(await store.remove(digest));
    t.is(await store.stat(digest), null);
    await throwsCode(t, store.get(digest), 'not_found');
  });

  of('a removal that is objected to does nothing [B19]', async (t, store) => {
    const { digest } = await putBlob(store, inPieces(Buffer.from('needed')));
    t.false(await store.remove(digest, async () => true));
    t.not(await store.stat(digest), null);
  });

  of('puts and removals of one blob at once never lose a committed one [B9] [B19]', async (t, store) => {
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
        putBlob(store, inPieces(bytes)),
        store.remove(digest, unless),
        receiveAnd(store, bytes, commit),
        store.remove(digest, unless),
      ]);
      t.not(await store.stat(digest), null);
    }
  });
}
