import { randomBytes } from 'node:crypto';
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '@morpheo/common';

/**
 * The key that callbacks are signed with: drawn once, and the same at each later start, for callbacks that come after it.
 */
export async function callbackKey(folder: string): Promise<Uint8Array> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, 'callback.key');
  try {
    await writeFile(file, randomBytes(32), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  return await readFile(file);
}

/** Where long payloads wait while they come; those of an earlier process, which nobody waits for any more, are removed. */
export async function payloadFolder(folder: string): Promise<string> {
  const path = join(folder, 'payloads');
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { recursive: true, mode: 0o700 });
  return path;
}

/**
 * Remembers which jobs are being started, a file for each, until their orders are placed. A start that breaks off in the
 * middle leaves a bucket: without this, nobody could tell it from one that somebody else has made, and its id would be burnt.
 */
export class Intents {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Opens those of a folder. */
  static async open(folder: string): Promise<Intents> {
    const path = join(folder, 'starting');
    await mkdir(path, { recursive: true });
    return new Intents(path);
  }

  /** `job` has the name of a bucket. */
  async add(job: string): Promise<void> {
    await writeFile(join(this.#folder, job), '', { flush: true });
  }

  async has(job: string): Promise<boolean> {
    return await access(join(this.#folder, job)).then(
      () => true,
      () => false,
    );
  }

  async remove(job: string): Promise<void> {
    await rm(join(this.#folder, job), { force: true });
  }
}
