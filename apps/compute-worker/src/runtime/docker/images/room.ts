import { Readable } from 'node:stream';
import { abortable, type PlatformError } from '@morpheo/common';
import { tarOf } from '@morpheo/service/archive';
import type { Log } from '@morpheo/service/log';
import { diskFull, fullDiskOf } from '../../../files/disk-full.ts';
import { formatBytes } from '../../../steps/format.ts';
import type { Daemon } from '../client/daemon.ts';
import { isFull } from '../client/errors.ts';
import { LABELS } from '../labels.ts';
import { readBuildRecords } from './build-records.ts';

/** What a {@link DaemonRoom} works with. */
export interface RoomOptions {
  readonly daemon: Daemon;
  /** Removes images that nobody needs, the longest unused first: such a share of their bytes; false where there are none. */
  readonly evict: (share: number) => Promise<boolean>;
  readonly log: Log;
}

/** With less room than this for an image a daemon's disk counts as full, in bytes. */
const ROOM_BYTES = 64 * 1024 ** 2;
/** How long that may take, in milliseconds: the daemon may be far away. */
const PROBE_MS = 300_000;
/** How often a full disk is looked at again, in milliseconds. */
const AGAIN_MS = 10_000;
/** What is evicted, before the first try again and before the last: building is dear, and so is what is evicted. */
const SHARES = [0.5, 1];

/**
 * Whether a daemon's disk has room for another image. No daemon tells: it is found out by work that fails for want of
 * room, and by making an image of {@link ROOM_BYTES} that is removed at once. Before anything fails, images that
 * nobody needs make room.
 */
export class DaemonRoom {
  readonly #options: RoomOptions;
  #full: { readonly error: PlatformError; readonly seenAt: number } | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /**
   * Does work that needs room in the daemon. Where there is none, unused images are removed and it is done anew;
   * `onAgain` is called before. Throws `disk_full` once nothing is left to remove, and from then on
   * {@link demand} does until there is room.
   */
  async use<T>(work: () => Promise<T>, onAgain?: () => Promise<void>): Promise<T> {
    for (const share of SHARES) {
      try {
        return await work();
      } catch (error) {
        if (fullDiskOf(error) !== 'docker' || !(await this.#options.evict(share))) throw this.#noted(error);
        await onAgain?.();
      }
    }
    return await work().catch((error: unknown) => {
      throw this.#noted(error);
    });
  }

  /** Throws `disk_full` while the disk is known to be full; meanwhile it is looked at again now and then. */
  demand(): void {
    if (this.#full === undefined) return;
    if (performance.now() - this.#full.seenAt > AGAIN_MS) this.look().catch(() => undefined);
    throw this.#full.error;
  }

  /** Looks whether there is room, making some where there is not. Throws `disk_full` where none can be made. */
  async look(signal?: AbortSignal): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    await (signal === undefined ? this.#looking : abortable(this.#looking, signal));
  }

  /** False where there is certainly no room now; makes none. */
  async isThere(): Promise<boolean> {
    return await this.#probe().then(
      () => true,
      (error: unknown) => fullDiskOf(error) !== 'docker',
    );
  }

  async #look(): Promise<void> {
    const { daemon, log } = this.#options;
    await this.use(async () => await this.#probe());
    if (this.#full === undefined) return;
    this.#full = undefined;
    log.info({ docker: daemon.address.text }, 'The disk of the Docker daemon has room again');
  }

  #noted(error: unknown): unknown {
    if (fullDiskOf(error) !== 'docker') return error;
    const { daemon, log } = this.#options;
    const message = `The disk of the Docker daemon at ${daemon.address.text} has no room for an image of ${formatBytes(ROOM_BYTES)}, and no unused image of archives is left to remove: free some, or give it a larger disk.`;
    if (this.#full === undefined) log.error({ error }, message);
    this.#full = { error: diskFull('docker', message, error), seenAt: performance.now() };
    return error;
  }

  async #probe(): Promise<void> {
    const { daemon } = this.#options;
    const made = await daemon.ask(
      'import an image',
      async (docker) => {
        // Should its removal fail, it is collected as what a build left on its way.
        const answer = await docker.importImage(Readable.from(tarOf(ballast())), {
          changes: [`LABEL ${LABELS.context}=room`],
        });
        let id: string | undefined;
        for await (const record of readBuildRecords(answer)) {
          if (record.kind === 'error')
            throw isFull(record.message)
              ? diskFull('docker', 'The disk of the Docker daemon has no room.', new Error(record.message))
              : new Error(record.message);
          if (record.kind === 'text') id = /sha256:[0-9a-f]{64}/.exec(record.text)?.[0] ?? id;
        }
        return id;
      },
      { ms: PROBE_MS },
    );
    if (made !== undefined) await daemon.removeImage(made);
  }
}

async function* ballast() {
  const block = Buffer.alloc(1024 ** 2, 1);
  const bytes = (async function* () {
    for (let sent = 0; sent < ROOM_BYTES; sent += block.byteLength) yield block;
  })();
  yield { name: 'ballast', type: 'file' as const, size: ROOM_BYTES, mode: 0o600, bytes };
}
