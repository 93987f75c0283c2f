import { mkdir } from 'node:fs/promises';
import { canMountDisks, mountSmallDisk, type SmallDisk } from '@morpheo/real-parts';

/** What the disks of a cluster hold at most, in bytes. */
export const DISK_BYTES = { part: 4 * 2 ** 30, service: 256 * 2 ** 20 } as const;

/** The disks of a cluster that can be full, by the name of who writes on them; none where they cannot be mounted. */
export class Disks implements AsyncDisposable {
  readonly #disks = new Map<string, SmallDisk>();
  readonly #stack = new AsyncDisposableStack();

  /** Makes the folder `path` for the data of `owner`, on a disk of its own where that can be. */
  async folderFor(owner: string, path: string, bytes: number): Promise<string> {
    await mkdir(path, { recursive: true });
    if (canMountDisks) this.add(owner, this.#stack.use(await mountSmallDisk(path, bytes)));
    return path;
  }

  /** Adds a disk that came with a part, where it has one. */
  add(owner: string, disk: SmallDisk | undefined): void {
    if (disk !== undefined) this.#disks.set(owner, disk);
  }

  /** Whose disks can be full. */
  get owners(): string[] {
    return [...this.#disks.keys()];
  }

  /** The disk of one of {@link owners}. */
  of(owner: string): SmallDisk {
    const disk = this.#disks.get(owner);
    if (disk === undefined) throw new Error(`${owner} has no disk of its own.`);
    return disk;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
