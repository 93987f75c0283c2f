/**
 * BlobStore: bytes by their SHA-256, each stored once.
 *
 * - `put` takes the bytes as they come and resolves with their digest and size once they are on disk to stay (file
 *   and folders synced). Nothing is visible before that. If the source throws, the signal aborts, or an expectation
 *   is not met, nothing becomes visible and what was written is removed (or collected by `sweep`, should the process
 *   die): `digest_mismatch` for a false digest or size, `too_large` over `limit`, `disk_full`, else the source's own
 *   error. Bytes that are there already are kept as they are, and count as new for `list` and `stat`.
 * - `commit` of a `put` runs once the bytes are on disk, before `put` resolves: the place to write down that they are
 *   there. Until it settles no `remove` of these bytes begins. What it throws leaves `put`, and the bytes stay: others
 *   may have put the same; the caller removes them if nobody needs them.
 * - `replace` is asked where bytes of the same digest and size are there already: if it answers true, those that came
 *   take their place, since the old ones are damaged. It is asked as `commit` is called: no `remove` is under way.
 * - Each piece of a source is copied before the next is asked for; `release` is then told of it.
 * - `get` streams a blob, or a part of it: `start` and `end` are both inclusive, as in HTTP, and lie inside. Unknown:
 *   `not_found`. Cancelling the stream frees what it holds. A blob that is removed meanwhile is read to its end.
 * - `stat` is a blob's size and when it was last put, or null.
 * - `remove` asks `unless` first, while no `commit` of the digest is under way, and does nothing if it answers true.
 *   It resolves with whether something was removed; what is not there is harmless. A store that cannot remove what is
 *   being read rejects with `unavailable`, in bounded time, and keeps it.
 * - `list` names every blob; those that are put or removed meanwhile may be missing or named.
 * - `link`, where a store has it, signs an address by which anybody may begin to download a blob for a short time. That
 *   the blob is there, and that the caller may have it, is the caller's to know. It is a secret for as long as it lives.
 * - `sweep` removes what dead writers left half-written more than `olderThanMs` ago, and says how much that was.
 *   What this process is writing is never touched. With `dryRun` it only says.
 */
export interface BlobStore {
  put(source: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<StoredBlob>;
  get(digest: string, range?: ByteRange): Promise<ReadableStream<Uint8Array>>;
  stat(digest: string): Promise<{ size: number; storedAt: Date } | null>;
  remove(digest: string, unless?: () => Promise<boolean>): Promise<boolean>;
  list(): AsyncIterable<{ digest: string; size: number; storedAt: Date }>;
  link?(digest: string, link: BlobLink): Promise<string>;
  sweep(olderThanMs: number, how?: { readonly dryRun?: boolean }): Promise<{ files: number; bytes: number }>;
  /** Rejects with `unavailable` and the reason in one line when the store cannot be used. */
  ping(signal?: AbortSignal): Promise<void>;
}

/** What must hold of the bytes. */
export interface PutOptions {
  readonly signal?: AbortSignal | undefined;
  /** The SHA-256 that the bytes must have, in lower-case hexadecimal. */
  readonly digest?: string | undefined;
  /** The size in bytes that they must have. */
  readonly size?: number | undefined;
  /** The most bytes that are taken. */
  readonly limit?: number | undefined;
  /** See the contract of {@link BlobStore}. */
  readonly release?: ((piece: Uint8Array) => void) | undefined;
  /** See the contract of {@link BlobStore}. */
  readonly replace?: ((digest: string) => Promise<boolean>) | undefined;
  /** See the contract of {@link BlobStore}. */
  readonly commit?: ((blob: StoredBlob) => Promise<void>) | undefined;
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
