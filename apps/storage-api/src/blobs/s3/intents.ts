import { randomUUID } from 'node:crypto';
import { PlatformError, sleep } from '@morpheo/common';
import { type Calls, deleteObject, listObjects, putObject } from '@morpheo/service/buckets';
import type { Keys } from './keys.ts';

/** A removal that has not begun to remove by then gives up. */
const REMOVAL_MS = 30_000;
/** And this long after its announcement it has ended, whatever became of its process. */
const FORGOTTEN_MS = 120_000;
/** So long a put waits for a removal, looking again and again. */
const PATIENCE_MS = 5_000;
const AGAIN_MS = 50;

/**
 * Keeps what several processes put and remove apart: whoever puts or removes a blob writes that down first, and then
 * looks what others have written. Of two who do so at least one sees the other, since S3 shows at once what was
 * written: the removal gives up then, and the put waits until it has. Within a process a lock does the same.
 */
export class Intents {
  readonly #calls: Calls;
  readonly #keys: Keys;
  readonly #shared: boolean;
  readonly #process = randomUUID();

  /** `shared` is false where no other process works here: then nothing is written down. */
  constructor(calls: Calls, keys: Keys, shared: boolean) {
    this.#calls = calls;
    this.#keys = keys;
    this.#shared = shared;
  }

  /**
   * Keeps other processes from removing a blob until the answer is disposed, which never rejects. Throws `unavailable`
   * where one of them is removing it, and does not end in time.
   */
  async holdForPut(digest: string): Promise<AsyncDisposable> {
    await using held = new AsyncDisposableStack();
    if (this.#shared) {
      const own = await this.#announce(digest, 'put');
      held.defer(() => deleteObject(this.#calls, own).catch(() => {}));
      await this.#untilNobodyRemoves(digest);
    }
    return held.move();
  }

  /** Runs `remove` unless somebody else puts the blob, or `unless` says that it is needed; says whether it ran. */
  async removing(
    digest: string,
    unless: () => Promise<boolean>,
    remove: () => Promise<void>,
  ): Promise<boolean> {
    if (!this.#shared) {
      if (await unless()) return false;
      await remove();
      return true;
    }
    const began = performance.now();
    const own = await this.#announce(digest, 'remove');
    const late = () => performance.now() - began > REMOVAL_MS;
    const mayNot = (await this.#others(digest, 'put')) || (await unless()) || late();
    // Where it fails, it may yet be carried out: the announcement stays until that cannot be any more.
    if (!mayNot) await remove();
    await deleteObject(this.#calls, own);
    return !mayNot;
  }

  /** True for the name of an announcement of this process. */
  isOwn(name: string): boolean {
    return name.split('/')[1]?.startsWith(this.#process) ?? false;
  }

  async #announce(digest: string, what: 'put' | 'remove'): Promise<string> {
    const key = `${this.#keys.intents}${digest}/${this.#process}.${what}.${randomUUID()}`;
    await putObject(this.#calls, key, new Uint8Array());
    return key;
  }

  async #others(digest: string, what: 'put' | 'remove'): Promise<boolean> {
    const since = what === 'put' ? 0 : Date.now() - FORGOTTEN_MS;
    for await (const { name, storedAt } of listObjects(this.#calls, `${this.#keys.intents}${digest}/`)) {
      const [process, kind] = name.split('.');
      if (process !== this.#process && kind === what && storedAt.getTime() > since) return true;
    }
    return false;
  }

  async #untilNobodyRemoves(digest: string): Promise<void> {
    const until = performance.now() + PATIENCE_MS;
    while (await this.#others(digest, 'remove')) {
      if (performance.now() > until) {
        throw new PlatformError(
          'unavailable',
          `Another process is removing the blob ${digest}, or died of it: try again in two minutes.`,
        );
      }
      await sleep(AGAIN_MS);
    }
  }
}
