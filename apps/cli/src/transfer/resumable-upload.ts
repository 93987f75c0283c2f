import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { toError } from '@morpheo/client';
import { ERRORS, isPlatformError, PlatformError } from '@morpheo/common';
import { DetailedError, Upload, type UploadOptions } from 'tus-js-client';
import type { ServiceAddress } from '../platform/settings.ts';
import type { Progress } from '../terminal/progress.ts';
import { fetchStack } from './fetch-stack.ts';
import type { ToUpload, UploadType } from './to-upload.ts';
import type { UploadFields } from './upload.ts';
import { type UploadNote, uploadNote } from './upload-note.ts';

/** What a resumable upload sends, and where to. */
export interface ResumableUpload {
  readonly storage: ServiceAddress;
  readonly type: UploadType;
  readonly file: ToUpload;
  readonly fields: UploadFields;
  /** Where is remembered what has begun. */
  readonly notes: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** The first chunk, and the smallest. A chunk is sent, checked and synced as one: a cut costs at most one. */
const CHUNK_BYTES = 4 * 1024 * 1024;
const LARGEST_CHUNK_BYTES = 32 * 1024 * 1024;
/** A chunk should take about so long: whoever watches sees it go on, and its acknowledgement costs little beside it. */
const CHUNK_MS = 1000;
/** How long is waited before the upload goes on by itself; from the start again after each chunk that got through. */
const PAUSES_MS = [100, 300, 1000, 1000, 2000, 2000, 5000, 5000, 10_000, 10_000];

/** How often an upload that has not begun yet is tried again where nobody answers. */
const TRIES_TO_BEGIN = 3;

/** A try that storage has ended: what is remembered of it is of no use. */
const OVER = [
  'not_found',
  'conflict',
  'digest_mismatch',
  'invalid_upload',
  'invalid_request',
  'too_large',
] as const;

/**
 * Sends a prepared file by the tus protocol, from where an upload of the same bytes was cut, even if that was another
 * run of the program. Goes on by itself when the connection or the service fails for a while. Returns the id that the
 * thing has. Throws `PlatformError`: `unavailable` where it stays cut; the same call then goes on from there.
 */
export async function sendResumable(upload: ResumableUpload): Promise<string> {
  const { storage, type, file, fields, notes } = upload;
  const note = uploadNote(notes, { storage: storage.url, type, sha256: file.sha256, ...fields });
  const before = await note.read();
  const uuid = fields.uuid ?? before?.uuid ?? randomUUID();
  try {
    await sendRest(upload, { uuid, note, url: before?.url });
  } catch (error) {
    if (isPlatformError(error, ...OVER)) await note.forget();
    if (before === undefined || !isPlatformError(error, 'not_found')) throw error;
    // Storage threw away what had come: from the start, then.
    await sendRest(upload, { uuid, note, url: undefined });
  }
  await note.forget();
  return uuid;
}

interface Attempt {
  readonly uuid: string;
  readonly note: UploadNote;
  /** Where the upload is, if it has begun. */
  readonly url: string | undefined;
}

async function sendRest(upload: ResumableUpload, attempt: Attempt): Promise<void> {
  const { file, signal } = upload;
  signal.throwIfAborted();
  await using handle = await open(file.path);
  const ended = Promise.withResolvers<void>();
  const pace = new Pace();
  let noted: Promise<unknown> = Promise.resolve();
  const tus = new Upload(Buffer.alloc(0), {
    ...optionsOf(upload, attempt, new ChunkSource(handle, file.size)),
    onChunkComplete: (chunk) => {
      tus.options.chunkSize = pace.next(chunk);
    },
    onUploadUrlAvailable: () => {
      // Else whatever HEAD is answered later would begin a second upload.
      tus.options.endpoint = null;
      noted = noteOf(attempt, tus.url).catch(() => {});
    },
    onSuccess: () => ended.resolve(),
    onError: (error) => ended.reject(error),
  });
  const stop = () => {
    void tus.abort();
    ended.reject(signal.reason);
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    tus.start();
    await ended.promise;
  } catch (error) {
    throw signal.aborted ? signal.reason : await platformError(error, upload);
  } finally {
    signal.removeEventListener('abort', stop);
    await noted;
  }
}

/** Without a note the upload goes on all the same; only another run of the program would not find it. */
async function noteOf({ note, uuid }: Attempt, url: string | null): Promise<void> {
  if (url !== null) await note.write({ url, uuid });
}

function optionsOf(upload: ResumableUpload, { uuid, url }: Attempt, source: ChunkSource): UploadOptions {
  const { storage, progress } = upload;
  let reported = 0;
  return {
    ...(url === undefined
      ? { endpoint: `${storage.url.replace(/\/+$/, '')}/v1/uploads` }
      : { uploadUrl: url }),
    metadata: metadataOf(upload, uuid),
    headers: headersOf(storage),
    chunkSize: CHUNK_BYTES,
    retryDelays: PAUSES_MS,
    storeFingerprintForResuming: false,
    fileReader: { openFile: async () => source },
    httpStack: fetchStack,
    onBeforeRequest: (request) => {
      if (request.getMethod() === 'PATCH') request.setHeader('Upload-Checksum', source.checksum);
    },
    onProgress: (sent) => {
      progress.add(Math.max(0, sent - reported));
      reported = Math.max(reported, sent);
    },
    onShouldRetry: (error, attempt) => mayHelp(error, attempt),
  };
}

/** How large chunks are: so that each takes about a second on this line. */
class Pace {
  #bytes = CHUNK_BYTES;
  #since = performance.now();

  /** The size of the next chunk, when one of so many bytes has been acknowledged. */
  next(sent: number): number {
    const now = performance.now();
    const ms = now - this.#since;
    this.#since = now;
    // The last one may be smaller, and says nothing.
    if (sent < this.#bytes) return this.#bytes;
    const fitting = Math.min(2 * this.#bytes, (sent * CHUNK_MS) / Math.max(1, ms));
    this.#bytes = Math.min(LARGEST_CHUNK_BYTES, Math.max(CHUNK_BYTES, roundUp(fitting)));
    return this.#bytes;
  }
}

/** To whole chunks of the smallest size: storage writes such ones best. */
function roundUp(bytes: number): number {
  return Math.ceil(bytes / CHUNK_BYTES) * CHUNK_BYTES;
}

/** The chunks of a file, each read whole: it may have to be sent again. */
class ChunkSource {
  readonly #handle: FileHandle;
  readonly size: number;
  /** `Upload-Checksum` of the chunk that was read last. */
  checksum = '';

  constructor(handle: FileHandle, size: number) {
    this.#handle = handle;
    this.size = size;
  }

  async slice(start: number, end: number): Promise<{ value: Buffer & { size: number }; done: boolean }> {
    const length = Math.min(end, this.size) - start;
    const chunk = Buffer.allocUnsafe(length);
    for (let at = 0; at < length; ) {
      const { bytesRead } = await this.#handle.read(chunk, at, length - at, start + at);
      if (bytesRead === 0) throw new PlatformError('invalid_upload', 'The file became shorter on the way.');
      at += bytesRead;
    }
    this.checksum = `sha256 ${createHash('sha256').update(chunk).digest('base64')}`;
    // The library asks a Buffer for its length by this name.
    return { value: Object.assign(chunk, { size: length }), done: end >= this.size };
  }

  close(): void {}
}

function metadataOf({ type, file, fields }: ResumableUpload, uuid: string): Record<string, string> {
  const { uuid: _uuid, ...described } = fields;
  const given = Object.entries({ type, uuid, sha256: file.sha256, ...described });
  return Object.fromEntries(given.filter((pair): pair is [string, string] => pair[1] !== undefined));
}

function headersOf({ credentials }: ServiceAddress): Record<string, string> {
  if (credentials === undefined) return {};
  const { name, secret } = credentials;
  return { authorization: `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}` };
}

/** Whether it may help to ask for the offset, and go on from there. */
function mayHelp({ originalRequest, originalResponse: response }: DetailedError, attempt: number): boolean {
  if (response === null || response === undefined) {
    // A service that never answered is not waited for as long as one that went away in the middle.
    return originalRequest.getMethod() !== 'POST' || attempt < TRIES_TO_BEGIN;
  }
  const code = codeIn(response.getBody());
  if (code === 'wrong_state') return true;
  if (code !== undefined) return ERRORS[code].retry;
  return response.getStatus() >= 500 || response.getStatus() === 423;
}

function codeIn(body: string): keyof typeof ERRORS | undefined {
  try {
    const { code } = JSON.parse(body) as { code?: unknown };
    return typeof code === 'string' && Object.hasOwn(ERRORS, code)
      ? (code as keyof typeof ERRORS)
      : undefined;
  } catch {
    return undefined;
  }
}

async function platformError(error: unknown, { storage, type, file }: ResumableUpload): Promise<unknown> {
  if (isPlatformError(error)) return error;
  if (!(error instanceof DetailedError)) return error;
  const { originalResponse: response, originalRequest: request, causingError: cause } = error;
  if (response !== null && response !== undefined) {
    const where = { method: request.getMethod(), url: request.getURL(), signal: undefined };
    const answer = new Response(response.getBody() || null, { status: response.getStatus() });
    return await toError(answer, where);
  }
  if (isPlatformError(cause)) return cause;
  // `fetch` says "fetch failed", and why in the cause.
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const reason = inner instanceof Error ? inner.message || inner.name : 'no answer';
  return new PlatformError(
    'unavailable',
    `The upload of ${type} ${file.source} to ${storage.url} was cut (${reason}); the same command goes on from there.`,
    { cause: error },
  );
}
