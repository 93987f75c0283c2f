import { lstat, mkdir, readdir, rename } from 'node:fs/promises';
import { join, posix, relative } from 'node:path';
import { Readable } from 'node:stream';
import { isPlatformError, PlatformError } from '@morpheo/common';
import { ArchiveReader, fileEntry, type TarEntry, type TarHeader, tarOf } from '@morpheo/service/archive';
import type { MountSettings } from 'dockerode';
import { z } from 'zod';
import { tarTree, treeEntries } from '../../../archive/tar-tree.ts';
import { unpackOutput } from '../../../archive/unpack-output.ts';
import type { LivingFile } from '../../../files/living-tree.ts';
import { removeTree } from '../../../files/remove-tree.ts';
import { demandNoRunner, demandRunnable } from '../../driver.ts';
import { type DiskUse, measure, UNBOUNDED } from '../../folders.ts';
import type { AnyRun, Mount } from '../../index.ts';
import { Container } from '../client/container.ts';
import type { Daemon } from '../client/daemon.ts';
import { isAnswer } from '../client/errors.ts';
import { DATA_MOUNTS, dataImage, dataPath } from './data-image.ts';
import type { ContainerUser, DataOfRun, DataTransport, RunData } from './transport.ts';

/**
 * Data as archives: for each mount a volume in the daemon, filled before the run and read after it, both through a
 * container that is never started. Bytes are bounded as far as the daemon can measure its volumes; files when they
 * come back.
 */
export function archives(daemon: Daemon, user: ContainerUser): DataTransport {
  return {
    kind: 'archive',
    async open(run) {
      demandNoRunner(run.spec, 'the Docker daemon sees none of the folders of the worker');
      await demandRunnable(run.spec);
      const data = new ArchivedData(daemon, user, run, await dividedMounts(run.spec));
      try {
        await data.fill();
      } catch (error) {
        await data[Symbol.asyncDispose]().catch(() => undefined);
        throw error;
      }
      return data;
    },
    // What went to the daemon is there as it was; the worker's own copies stay untouched until it is brought back.
    adopt: async (run, before) => new ArchivedData(daemon, user, run, await dividedMounts(run.spec), before),
  };
}

interface MountedVolume extends Mount {
  readonly volume: string;
  /** Where the data container has it. */
  readonly path: string;
}

/** The mounts of a run: a folder goes to a volume of its own; files, and folders of which there are too many, to one. */
interface DividedMounts {
  readonly apart: readonly Mount[];
  readonly together: readonly Mount[];
}

async function dividedMounts({ mounts }: AnyRun): Promise<DividedMounts> {
  const folders = new Set<Mount>();
  for (const mount of mounts) if ((await lstat(mount.host)).isDirectory()) folders.add(mount);
  const isApart = (mount: Mount) => folders.has(mount) && (folders.size < DATA_MOUNTS || !mount.readOnly);
  const apart = mounts.filter(isApart);
  if (apart.length >= DATA_MOUNTS) throw new PlatformError('internal', 'A run writes to too many mounts.');
  return { apart, together: mounts.filter((mount) => !isApart(mount)) };
}

/** Where the data container has what has no volume of its own. */
const COMMON_PATH = dataPath(DATA_MOUNTS - 1);
const FOREVER = { ms: Number.POSITIVE_INFINITY };
const NOTHING: DiskUse = { bytes: 0, files: 0 };

class ArchivedData implements RunData {
  readonly #daemon: Daemon;
  readonly #user: ContainerUser;
  readonly #run: DataOfRun;
  readonly #container: Container;
  /** An outer mount stands before those that lie in it. */
  readonly #mounts: readonly MountedVolume[];
  readonly #together: readonly Mount[];
  /** Of those that have none of their own: no part of a volume can be mounted alone, but the daemon binds what is in it. */
  readonly #commonVolume: string;
  /** Where the daemon has that volume. */
  #commonAt = '';
  #before: DiskUse;

  constructor(
    daemon: Daemon,
    user: ContainerUser,
    run: DataOfRun,
    { apart, together }: DividedMounts,
    before: DiskUse = NOTHING,
  ) {
    this.#before = before;
    this.#daemon = daemon;
    this.#user = user;
    this.#run = run;
    this.#container = new Container(daemon, `${run.name}-data`);
    this.#together = together;
    this.#commonVolume = `${run.name}-common`;
    const sorted = apart.toSorted((a, b) => a.container.length - b.container.length);
    this.#mounts = sorted.map((mount, index) => {
      return { ...mount, volume: `${run.name}-${index}`, path: dataPath(index) };
    });
  }

  get before() {
    return this.#before;
  }

  get mounts(): readonly MountSettings[] {
    const bound = this.#together.map(({ container }, index) => ({
      Type: 'bind' as const,
      Source: posix.join(this.#commonAt, String(index)),
      Target: container,
      ReadOnly: true,
    }));
    const volumes = this.#mounts.map(({ volume, container, readOnly }) => {
      const options = { NoCopy: true, Labels: {}, DriverConfig: { Name: 'local', Options: {} } };
      return {
        Type: 'volume' as const,
        Source: volume,
        Target: container,
        ReadOnly: readOnly,
        VolumeOptions: options,
      };
    });
    return [...volumes, ...bound];
  }

  /** The names of its volumes, and where the data container has each. */
  get #volumes(): readonly Pick<MountedVolume, 'volume' | 'path'>[] {
    if (this.#together.length === 0) return this.#mounts;
    return [...this.#mounts, { volume: this.#commonVolume, path: COMMON_PATH }];
  }

  async fill(): Promise<void> {
    const { labels, signal } = this.#run;
    const image = await dataImage(this.#daemon, this.#user);
    for (const { volume } of this.#volumes) {
      await this.#daemon.ask('make a volume', (docker) =>
        docker.createVolume({ Name: volume, Labels: labels }),
      );
    }
    const Binds = this.#volumes.map(({ volume, path }) => `${volume}:${path}`);
    const HostConfig = { NetworkMode: 'none', Binds };
    await this.#container.create({ Image: image, Labels: labels, NetworkDisabled: true, HostConfig });
    this.#before = await measure(
      this.#writable.map(({ host }) => host),
      UNBOUNDED,
    );
    for (const mount of this.#mounts) await this.#put(mount, signal);
    if (this.#together.length === 0) return;
    await this.#send(COMMON_PATH, tarOf(this.#commonEntries(signal)), signal);
    this.#commonAt = await this.#daemon.volumePath(this.#commonVolume);
  }

  async isBeyond(): Promise<boolean> {
    try {
      const answer = await this.#daemon.get('measure volumes', '/system/df', { query: { type: 'volume' } });
      return this.#bytesIn(answer) > this.#before.bytes + this.#run.spec.limits.diskBytes;
    } catch (error) {
      // Away, which others find out about, or measuring for somebody else: it does so for one at a time.
      if (isPlatformError(error, 'unavailable', 'disk_full')) return false;
      throw error;
    }
  }

  async *read({ container }: Pick<Mount, 'container'>, path: string): AsyncGenerator<LivingFile> {
    const at = this.#mounts.find((mount) => mount.container === container)?.path ?? '';
    const stop = new AbortController();
    const options = { path: posix.join(at, path), abortSignal: stop.signal };
    try {
      const answer = await this.#daemon.ask(
        'hand out data',
        (docker) => docker.getContainer(this.#container.name).getArchive(options),
        FOREVER,
      );
      for await (const { header, bytes } of new ArchiveReader(bytesOf(answer), false).entries(stop.signal)) {
        // A folder's own name stands before the names of what is in it, and a file alone has but its own.
        const [, ...names] = header.name.split('/').filter((name) => name !== '');
        const name = names.join('/');
        if (header.kind === 'hard link')
          yield* renamed(this.read({ container }, posix.join(path, name)), name);
        else if (name !== '' || header.kind !== 'folder') yield livingFile(header, name, bytes);
      }
    } catch (error) {
      if (!isAnswer(error, 404)) throw error;
    } finally {
      stop.abort();
    }
  }

  async collect(signal: AbortSignal): Promise<boolean> {
    const { limits, scratch } = this.#run.spec;
    const bounds = {
      bytes: this.#before.bytes + limits.diskBytes,
      files: this.#before.files + limits.diskFiles,
    };
    for (const [index, mount] of this.#writable.entries()) {
      const staged = join(scratch, `back-${index}`);
      await mkdir(staged, { recursive: true });
      if (!(await this.#get(mount, staged, bounds, signal))) return false;
      const added = await measure([staged], bounds);
      bounds.bytes -= added.bytes;
      bounds.files -= added.files;
      await replace(mount.host, staged);
    }
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#container.remove();
    for (const { volume } of this.#volumes) await this.#daemon.removeVolume(volume);
  }

  #bytesIn(answer: unknown): number {
    const names = new Set(this.#writable.map(({ volume }) => volume));
    return (measured.parse(answer).Volumes ?? [])
      .filter(({ Name }) => names.has(Name))
      .reduce((sum, { UsageData }) => sum + Math.max(UsageData?.Size ?? 0, 0), 0);
  }

  get #writable(): readonly MountedVolume[] {
    return this.#mounts.filter((mount) => !mount.readOnly);
  }

  async #put({ host, path }: MountedVolume, signal: AbortSignal): Promise<void> {
    const hollow = this.#writable.map((inner) => relative(host, inner.host)).filter(isInside);
    await this.#send(path, tarTree(host, { owner: this.#user, hollow, signal }), signal);
  }

  /** What has no volume of its own, by its number. */
  async *#commonEntries(signal: AbortSignal): AsyncGenerator<TarEntry> {
    const owner = this.#user;
    for (const [index, { host }] of this.#together.entries()) {
      const name = String(index);
      const stats = await lstat(host);
      const mode = (stats.mode & 0o111) === 0 ? 0o644 : 0o755;
      if (stats.isDirectory()) {
        yield { name: `${name}/`, type: 'directory', size: 0, mode: 0o755, owner };
        yield* treeEntries(host, { owner, prefix: `${name}/`, signal });
      } else yield* fileEntry(host, { name, mode, owner });
    }
  }

  async #send(path: string, archive: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    const tar = Readable.from(archive);
    const options = { path, abortSignal: signal };
    try {
      await this.#daemon.ask(
        'take in data',
        (docker) => docker.getContainer(this.#container.name).putArchive(tar, options),
        { ...FOREVER, signal },
      );
    } finally {
      tar.destroy();
    }
  }

  async #get(
    { path }: MountedVolume,
    staged: string,
    bounds: DiskUse,
    signal: AbortSignal,
  ): Promise<boolean> {
    const stop = new AbortController();
    const options = { path, abortSignal: AbortSignal.any([signal, stop.signal]) };
    const answer = await this.#daemon.ask(
      'hand out data',
      (docker) => docker.getContainer(this.#container.name).getArchive(options),
      { ...FOREVER, signal },
    );
    try {
      return await unpackOutput(bytesOf(answer), staged, bounds, signal);
    } finally {
      stop.abort();
    }
  }
}

/** Another name of a file comes without its bytes, unless it is asked for alone. */
async function* renamed(files: AsyncIterable<LivingFile>, path: string): AsyncGenerator<LivingFile> {
  for await (const file of files) yield { ...file, path };
}

function livingFile(
  { kind, size, executable }: TarHeader,
  path: string,
  bytes: () => AsyncIterable<Uint8Array>,
): LivingFile {
  const isFile = kind === 'file';
  return {
    path,
    kind: isFile || kind === 'folder' ? kind : 'other',
    size,
    executable: isFile && executable,
    stamp: '',
    bytes: (from = 0) => skipping(bytes(), from),
  };
}

async function* skipping(bytes: AsyncIterable<Uint8Array>, from: number): AsyncGenerator<Uint8Array> {
  let left = from;
  for await (const chunk of bytes) {
    if (left < chunk.byteLength) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.byteLength);
  }
}

const measured = z.object({
  Volumes: z
    .array(z.object({ Name: z.string(), UsageData: z.object({ Size: z.number() }).nullish() }))
    .nullish(),
});

function isInside(path: string): boolean {
  return path !== '' && path !== '..' && !path.startsWith('../');
}

async function* bytesOf(stream: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) if (chunk instanceof Uint8Array) yield chunk;
}

/** Replaces what is in a folder by what is in another. */
async function replace(folder: string, by: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) await removeTree(join(folder, name));
  for (const name of await readdir(by)) await rename(join(by, name), join(folder, name));
}
