/** A file of a bucket, open to be read. */
export interface StoredFile {
  /** In bytes. */
  readonly size: number;
  /** Whoever is given it reads it to its end, or cancels it. */
  readonly body: ReadableStream<Uint8Array>;
}

/**
 * Keeps the files of jobs, those of each in a bucket that is called as the job is. Names of buckets are those of S3: see
 * `isBucketName`. Names of files are paths with `/`.
 *
 * [J1] A bucket that is not there can be made once: of several calls at the same time one resolves to `made`, the others
 * to `there`. [J2] It is there for every call that begins afterwards, also of a store that is opened later.
 * [J3] A file is read as it was put, and has its size; what was there before is replaced. [J4] One that was put only where
 * nothing is leaves what is there. [J5] A file appears whole: one that breaks off leaves what was there. [J6] Files are listed by
 * a prefix, each with the rest of its name and its size. [J7] Where there is no such bucket, none is read or listed, and to
 * put one is refused with `not_found`. [J8] Where the store is away, every call is refused with `unavailable`. [J9] No name of
 * a file leads out of its bucket.
 */
export interface JobStore extends AsyncDisposable {
  /** Makes a bucket, or finds it there. */
  create(bucket: string): Promise<'made' | 'there'>;
  has(bucket: string): Promise<boolean>;
  list(bucket: string, prefix: string): AsyncIterable<{ readonly name: string; readonly size: number }>;
  /** What is known of a file, or undefined where it, or its bucket, is not there. */
  stat(bucket: string, name: string): Promise<{ readonly size: number; readonly storedAt: Date } | undefined>;
  /** A file, or undefined where it, or its bucket, is not there. */
  read(bucket: string, name: string): Promise<StoredFile | undefined>;
  /** Puts a small file. `only` `new`: where nothing is there, and it resolves also where something is. */
  put(bucket: string, name: string, bytes: Uint8Array, only?: 'new'): Promise<void>;
  /** Puts a file of any size as it comes. */
  write(bucket: string, name: string, bytes: AsyncIterable<Uint8Array>): Promise<void>;
  /** Rejects where the store does not answer. */
  ping(signal: AbortSignal): Promise<void>;
}

/** S3: 3 to 63 small letters, digits, dots and hyphens, with a letter or digit at both ends and around each dot; no address. */
const NAME = /^(?=.{3,63}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const ADDRESS = /^\d+\.\d+\.\d+\.\d+$/;

/** Whether a text can be the name of a bucket, and so the id of a job. Source: Amazon S3, "Bucket naming rules". */
export function isBucketName(text: string): boolean {
  return NAME.test(text) && !ADDRESS.test(text);
}
