import { createHash } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import {
  type Api,
  type BytesOut,
  formatDigestField,
  isPlatformError,
  PlatformError,
  retry,
  type StorageContract,
  sleep,
  withTimeout,
} from '@morpheo/common';
import {
  ArchiveError,
  pathProblem,
  shownPath,
  type TarEntry,
  type TreeLimits,
  tarOf,
  unpackArchive,
} from '@morpheo/service/archive';
import { type PackedArchive, writeArchive } from '../archive/pack.ts';
import { isOwn } from '../attempt/outcome.ts';
import type { CheckpointLimits } from '../config/limits.ts';
import type { LivingFile } from '../files/living-tree.ts';
import { RETRY_PAUSES } from '../inputs/download.ts';
import { untilOver } from '../runtime/beside.ts';
import type { AttemptName, LiveRun } from '../runtime/index.ts';
import { count, formatBytes } from '../steps/format.ts';

/** The calls of storage that keep checkpoints. */
export type CheckpointStorage = Pick<Api<StorageContract>, 'putCheckpoint' | 'getCheckpoint'>;

/** What {@link Checkpoints} work with. */
export interface CheckpointOptions {
  readonly storage: CheckpointStorage;
  readonly of: AttemptName;
  readonly limits: CheckpointLimits;
  /** What bounds their trees beside their bytes. */
  readonly treeLimits: TreeLimits;
  /** A file for the archive of one, which may be written over. */
  readonly path: string;
  /** Aborts when the attempt is over. */
  readonly over: AbortSignal;
  readonly log: (line: string) => void;
}

/** How long the last one of an attempt that is given back may take, in milliseconds. */
const LAST_MS = 5000;
/** How long storage may take for one, in milliseconds, beside its size at 1 MB/s. */
const SEND_MS = 120_000;
const TRIES = 3;
const MOST_TOLD = 20;

/** What is seen of an empty folder. */
const NOTHING = createHash('sha256').digest('hex');

/** What the program left is not kept as it is: the message says why. */
class Unkept extends Error {}

/**
 * Keeps what a program leaves in its folder for checkpoints, for the next attempt of its order: while it runs, whenever
 * something has changed, and once more when it was stopped or has failed. What has a name that begins with a dot is left
 * out: there a program writes before it renames. What cannot be kept is told in the log, and the program goes on.
 */
export class Checkpoints {
  readonly #options: CheckpointOptions;
  /** SHA-256 of the archive that storage has. */
  #kept = '';
  /** What was looked at when that was made; empty where looking alone does not tell. */
  #seen = '';
  readonly #told = new Set<string>();

  constructor(options: CheckpointOptions) {
    this.#options = options;
  }

  /** Makes `folder`, with what the last attempt left; with nothing in it where there is nothing. */
  async lay(folder: string): Promise<void> {
    const { over: signal } = this.#options;
    const fetch = async () => {
      const answer = await this.#ask(signal);
      if (answer === undefined) return await mkdir(folder);
      return await this.#unpack(answer, folder);
    };
    await retry(fetch, { ...RETRY_PAUSES, tries: TRIES, signal });
  }

  /** Keeps what is at a path while the run goes on; see {@link LiveRun}. Never rejects. */
  async keep(path: string, run: LiveRun): Promise<void> {
    const { limits, over } = this.#options;
    if (limits.bytes === 0) return;
    const signal = AbortSignal.any([run.over, over]);
    for (let pauseMs = limits.everyMs; ; ) {
      await sleep(pauseMs, signal).catch(() => undefined);
      if (signal.aborted) break;
      const startedAt = performance.now();
      await this.#keepOnce(path, run, signal).catch((error: unknown) => {
        if (!signal.aborted) this.#tell(error, 'It is tried again.');
      });
      pauseMs = Math.max(limits.everyMs, performance.now() - startedAt);
    }
    await untilOver(run);
    if (run.exitCode === 0 || !isOwn(over)) return;
    await this.#keepOnce(path, run, AbortSignal.timeout(LAST_MS)).catch((error: unknown) => {
      this.#tell(error, 'What changed last is lost.');
    });
  }

  async #keepOnce(path: string, run: LiveRun, signal: AbortSignal): Promise<void> {
    const { path: target } = this.#options;
    try {
      const seen = await this.#lookAt(run.read(path));
      if (seen !== '' && seen === this.#seen) return;
      if (seen === NOTHING && this.#kept === '') return;
      await rm(target, { force: true });
      const changed = () => new PlatformError('unavailable', 'A file changed while it was read.');
      const tar = tarOf(this.#entries(run.read(path)), { changed });
      const packed = await writeArchive(tar, { target, compressed: false, signal });
      if (packed.sha256 !== this.#kept) await this.#send(packed, signal);
      [this.#kept, this.#seen] = [packed.sha256, seen];
    } finally {
      await rm(target, { force: true }).catch(() => undefined);
    }
  }

  /** Reads no bytes, where that tells what has changed. */
  async #lookAt(files: AsyncIterable<LivingFile>): Promise<string> {
    const seen = createHash('sha256');
    for await (const file of this.#bounded(files)) {
      if (file.kind === 'file' && file.stamp === '') return '';
      seen.update(`${file.path}\0${file.kind} ${file.stamp}\0`);
    }
    return seen.digest('hex');
  }

  async *#entries(files: AsyncIterable<LivingFile>): AsyncGenerator<TarEntry> {
    for await (const file of this.#bounded(files)) {
      const { path, kind, size, executable } = file;
      if (kind === 'folder') yield { name: `${path}/`, type: 'directory', size: 0, mode: 0o775 };
      else yield { name: path, type: 'file', size, mode: executable ? 0o775 : 0o664, bytes: file.bytes() };
    }
  }

  /** What of a folder is kept. Throws {@link Unkept} for what cannot be, or is too much. */
  async *#bounded(files: AsyncIterable<LivingFile>): AsyncGenerator<LivingFile> {
    const { limits, treeLimits } = this.#options;
    let bytes = 0;
    let entries = 0;
    for await (const file of files) {
      if (/(?:^|\/)\./.test(file.path)) continue;
      const odd = file.kind === 'other' ? 'is a link, a device, or may not be read' : undefined;
      const problem = pathProblem(file.path, treeLimits) ?? odd;
      if (problem !== undefined) {
        this.#say(`checkpoint: ${shownPath(file.path)} ${problem}, and is left out`);
        continue;
      }
      entries += 1;
      bytes += file.size;
      if (entries > treeLimits.files)
        throw new Unkept(`There are more than ${treeLimits.files} files and folders.`);
      if (bytes > limits.bytes)
        throw new Unkept(
          `Its files have more than ${formatBytes(limits.bytes)}, the most that this worker keeps.`,
        );
      yield file;
    }
  }

  async #send({ sha256, size }: PackedArchive, signal: AbortSignal): Promise<void> {
    const { storage, of: params, path } = this.#options;
    const late = () => new PlatformError('unavailable', 'Storage did not take the checkpoint in time.');
    const send = async () => {
      const blob = await openAsBlob(path);
      const body = {
        body: blob.stream(),
        blob,
        contentLength: size,
        contentDigest: formatDigestField(sha256),
      };
      const put = async (stop: AbortSignal) =>
        await storage.putCheckpoint({ params, body }, { signal: stop });
      await withTimeout(SEND_MS + size / 1000, signal, late, put);
    };
    await retry(send, { ...RETRY_PAUSES, tries: TRIES, signal });
    this.#say('checkpoint: what changes is kept for another attempt');
  }

  #tell(error: unknown, otherwise: string): void {
    const isTold =
      error instanceof Unkept || isPlatformError(error, 'too_large', 'quota_exceeded', 'disk_full');
    const why = isTold ? error.message : otherwise;
    if (!isPlatformError(error, 'stale_attempt')) this.#say(`checkpoint: it could not be kept. ${why}`);
  }

  /** Each line once: what is wrong may stay so for hours. */
  #say(line: string): void {
    if (this.#told.has(line) || this.#told.size === MOST_TOLD) return;
    this.#told.add(line);
    this.#options.log(line);
  }

  /** The checkpoint of the order; undefined where there is none. */
  async #ask(signal: AbortSignal): Promise<BytesOut | undefined> {
    const { storage, of: params } = this.#options;
    try {
      return await storage.getCheckpoint({ params }, { signal });
    } catch (error) {
      if (isPlatformError(error, 'not_found')) return undefined;
      // Without tickets storage keeps none.
      if (!isPlatformError(error, 'forbidden')) throw error;
      this.#say(`checkpoint: that of the last attempt is not to be had. ${error.message}`);
      return undefined;
    }
  }

  async #unpack({ body }: BytesOut, folder: string): Promise<void> {
    const { treeLimits, over } = this.#options;
    const hash = createHash('sha256');
    async function* hashed(): AsyncGenerator<Uint8Array> {
      for await (const chunk of body ?? []) {
        hash.update(chunk);
        yield chunk;
      }
    }
    try {
      const { files, bytes } = await unpackArchive(hashed(), folder, treeLimits, over, {
        compressed: false,
        empty: true,
      });
      this.#kept = hash.digest('hex');
      this.#options.log(`checkpoint: goes on from ${count(files, 'file')}, ${formatBytes(bytes)}`);
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error;
      throw new PlatformError('unavailable', 'Storage served a checkpoint that is not whole.', {
        cause: error,
      });
    }
  }
}
