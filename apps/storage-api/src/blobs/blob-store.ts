import { PlatformError } from '@morpheo/common';

/**
 * BlobStore: bytes by their SHA-256, each stored once. The numbers name the sentences that tests show.
 *
 * - [B1] `receive` takes the bytes as they come, and resolves once they are on disk to stay (file and folders synced),
 *   under their digest. [B2] Nothing is visible before that. [B3] If the source throws, the signal aborts, or an
 *   expectation is not met, nothing becomes visible, and what was written is removed (or collected by `sweep`, should
 *   the process die). [B4] It rejects with `digest_mismatch` for a false digest or size, [B5] `too_large` over `limit`,
 *   [B6] `disk_full`, [B7] else the source's own error. [B8] Bytes that are there already are kept as they are, and
 *   count as new for `list` and `stat`.
 * - [B9] Until a received blob is disposed, no `remove` of its bytes begins: the time to write down that they are
 *   there. [B10] Disposing never rejects, and leaves the bytes: others may have sent the same. Whoever received bytes
 *   that nobody needs removes them afterwards.
 * - [B11] `replace` is asked where bytes of the same digest and size are there already: if it answers true, those that
 *   came take their place, since the old ones are damaged. [B12] No `remove` is under way then.
 * - [B13] Each piece of a source is copied before the next is asked for: its memory may be used again then.
 * - [B14] `get` streams a blob, or a part of it: `start` and `end` are both inclusive, as in HTTP, and lie inside.
 *   [B15] Unknown: `not_found`. [B16] Cancelling the stream frees what it holds. [B17] A blob that is removed meanwhile
 *   is read to its end.
 * - [B18] `stat` is a blob's size and when it was last received, or null.
 * - [B19] `remove` asks `unless` first, while nobody holds the blob as received, and does nothing if it answers true.
 *   [B20] It resolves with whether something was removed; what is not there is harmless. [B21] A store that cannot
 *   remove what is being read rejects with `unavailable`, in bounded time, and keeps it.
 * - [B22] `list` names every blob; those that are received or removed meanwhile may be missing or named.
 * - [B23] `link`, where a store has it, signs an address by which anybody may begin to download a blob, [B24] for a
 *   short time. That the blob is there, and that the caller may have it, is the caller's to know. The address is a
 *   secret for as long as it lives.
 * - [B25] `sweep` removes what dead writers left half-written more than `olderThanMs` ago, and says how much that was.
 *   [B26] What this process is writing is never touched. [B27] With `dryRun` it only says.
 * - [B28] `ping` rejects with `unavailable` and the reason in one line when the store cannot be used.
 * - [B29] Where `ready` names a file that has the bytes, and what they are, a store on the same disk takes that file and
 *   reads no source. They are on disk to stay, and nobody writes there any more; the file keeps its name too.
 */
export interface BlobStore {
  receive(source: AsyncIterable<Uint8Array>, options?: ReceiveOptions): Promise<ReceivedBlob>;
  get(digest: string, range?: ByteRange): Promise<ReadableStream<Uint8Array>>;
  stat(digest: string): Promise<{ size: number; storedAt: Date } | null>;
  remove(digest: string, unless?: () => Promise<boolean>): Promise<boolean>;
  list(): AsyncIterable<{ digest: string; size: number; storedAt: Date }>;
  link?(digest: string, link: BlobLink): Promise<string>;
  sweep(olderThanMs: number, how?: { readonly dryRun?: boolean }): Promise<{ files: number; bytes: number }>;
  ping(signal?: AbortSignal): Promise<void>;
}

/** What must hold of the bytes. */
export interface ReceiveOptions {
  readonly signal?: AbortSignal | undefined;
  /** The SHA-256 that the bytes must have, in lower-case hexadecimal. */
  readonly digest?: string | undefined;
  /** The size in bytes that they must have. */
  readonly size?: number | undefined;
  /** The most bytes that are taken. */
  readonly limit?: number | undefined;
  /** See the contract of {@link BlobStore}. */
  readonly ready?: ReadyFile | undefined;
  /** See the contract of {@link BlobStore}. */
  readonly replace?: ((digest: string) => Promise<boolean>) | undefined;
}

/** A file that has the bytes of a blob. */
export interface ReadyFile extends StoredBlob {
  readonly path: string;
}

/** What a download by a link tells of itself. */
export interface BlobLink {
  /** Letters, digits and dashes. */
  readonly fileName: string;
  readonly contentType: string;
}

/** A part of a blob; both ends inclusive, in bytes. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A blob that is stored: lower-case hexadecimal SHA-256, size in bytes. */
export interface StoredBlob {
  readonly digest: string;
  readonly size: number;
}

/** A blob of which nobody removes the bytes until it is disposed; see the contract of {@link BlobStore}. */
export interface ReceivedBlob extends StoredBlob, AsyncDisposable {
  /** Whether its bytes took the place of others, as `replace` said. */
  readonly replaced: boolean;
}

/** Stores bytes and holds on to nothing: for those who write down nothing about them. Throws as `receive` does. */
export async function putBlob(
  store: Pick<BlobStore, 'receive'>,
  source: AsyncIterable<Uint8Array>,
  options?: ReceiveOptions,
): Promise<StoredBlob> {
  await using blob = await store.receive(source, options);
  return { digest: blob.digest, size: blob.size };
}

/** How much is read at once. */
const PIECE_BYTES = 256 * 1024;

/** The pieces of a stream of a store; each is good until the next one is asked for. */
export async function* piecesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader({ mode: 'byob' });
  let memory = new ArrayBuffer(PIECE_BYTES);
  try {
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(memory));
      if (done) return;
      yield value;
      memory = value.buffer;
    }
  } finally {
    await reader.cancel();
  }
}

/** Throws `too_large` where `size` bytes are more than are taken. */
export function checkLimit(size: number, { limit }: Pick<ReceiveOptions, 'limit'>): void {
  if (limit === undefined || size <= limit) return;
  throw new PlatformError('too_large', `The blob is larger than the ${limit} bytes that are taken.`, {
    details: { limit },
  });
}

/** Throws `digest_mismatch` where a blob is not what its sender promised. */
export function checkPromised(blob: StoredBlob, promised: Pick<ReceiveOptions, 'digest' | 'size'>): void {
  if (promised.size !== undefined && promised.size !== blob.size) {
    throw new PlatformError(
      'digest_mismatch',
      `The blob should have ${promised.size} bytes and has ${blob.size}: send it again, or correct its size.`,
    );
  }
  if (promised.digest !== undefined && promised.digest !== blob.digest) {
    throw new PlatformError(
      'digest_mismatch',
      `The blob should have the SHA-256 ${promised.digest} and has ${blob.digest}: send it again.`,
    );
  }
}
