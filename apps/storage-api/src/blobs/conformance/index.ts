import test, { type ExecutionContext, type TestFn } from 'ava';
import type { BlobStore } from '../index.ts';
import { testGet, testRemove } from './keep.ts';
import { testPut, testReceive, testRefusedPut } from './put.ts';
import { testLink, testSweep } from './sweep.ts';

export { inPieces, receiveAnd, sha256 } from './tools.ts';

/** A store that a test may fill, and what removes it. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly store: BlobStore;
  /** Opens the same place once more, as another process would; it goes with the store. */
  readonly reopen: () => Promise<BlobStore>;
}

/**
 * Declares the tests of {@link BlobStore}'s contract, each with the numbers of the sentences that it shows; `open` makes an empty store of the driver named `driver`.
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
  testReceive(of);
  testGet(of);
  testRemove(of);
  testLink(of);
  testSweep((title, body) =>
    declare(`${driver}: ${title}`, async (t) => {
      await using under = await open();
      await body(t, under.store, await under.reopen());
    }),
  );
}
