import { createHash } from 'node:crypto';
import { isPlatformError, type PlatformError } from '@morpheo/common';
import type { ExecutionContext } from 'ava';
import type { BlobStore, StoredBlob } from '../index.ts';

/** The SHA-256 of some bytes in lower-case hexadecimal. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Yields `bytes` in pieces of at most `size` bytes. */
export async function* inPieces(bytes: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
}

/** Receives some bytes, and does `work` while it holds them. */
export async function receiveAnd(
  store: BlobStore,
  bytes: Uint8Array,
  work: (blob: StoredBlob) => unknown,
): Promise<void> {
  await using blob = await store.receive(inPieces(bytes));
  await work(blob);
}

/** The digests of all that a store has. */
export async function digestsOf(store: BlobStore): Promise<string[]> {
  return (await Array.fromAsync(store.list())).map(({ digest }) => digest);
}

/** Asserts that some work throws the error of a code. */
export async function throwsCode(t: ExecutionContext, work: Promise<unknown>, code: PlatformError['code']) {
  const error = await t.throwsAsync(work);
  t.true(isPlatformError(error, code), `${code} was expected, this came: ${error}`);
}

/** Declares a test of a store that is empty. */
export type Declare = (title: string, body: (t: ExecutionContext, store: BlobStore) => Promise<void>) => void;
