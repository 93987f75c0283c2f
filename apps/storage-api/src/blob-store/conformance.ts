import test, { type ExecutionContext, type TestFn } from 'ava';
import { testGet, testRemove } from './conformance-keep.ts';
import { testCommit, testPut, testRefusedPut } from './conformance-put.ts';
import type { BlobStore } from './index.ts';

export { inPieces, sha256 } from './conformance-tools.ts';

/** A store that a test may fill, and what removes it. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly store: BlobStore;
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
