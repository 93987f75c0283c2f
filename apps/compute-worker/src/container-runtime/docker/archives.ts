import { mkdir, readdir, rename } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { isPlatformError, PlatformError } from '@morpheo/common';
import { z } from 'zod';
import { tarTree } from '../../archive/tar-tree.ts';
import { unpackOutput } from '../../archive/unpack-output.ts';
import { removeTree } from '../../remove-tree.ts';
import { type DiskUse, measure } from '../disk-watch.ts';
import type { Mount } from '../index.ts';
import { demandMounts } from '../mounts.ts';
import { type Daemon, removed } from './daemon.ts';
import type { ContainerUser, DataOfRun, DataTransport, RunData } from './data.ts';
import { DATA_PLACES, dataImage, dataPlace } from './data-image.ts';
import { dialJson } from './dial.ts';

/**
 * Data as archives: for each mount a volume in the daemon, filled before the run and read after it, both through a
 * container that is never started. Bytes are bounded as far as the daemon can measure its volumes; files when they
 * come back.
 */
export function archives(daemon: Daemon, user: ContainerUser): DataTransport {
  return {
    kind: 'archive',
    async open(run) {
      await demandMounts(run.spec.mounts);
      if (run.spec.mounts.length > DATA_PLACES) {
        throw new PlatformError(
          'internal',
          `A run may have ${DATA_PLACES} mounts where data goes as archives.`,
        );
      }
      const data = new ArchivedData(daemon, user, run);
      try {
        await data.fill();
      } catch (error) {
        await data[Symbol.asyncDispose]().catch(() => undefined);
        throw error;
      }
      return data;
    },
    // What was placed in the daemon is there as it was; our own copies stay untouched until it is brought back.
    adopt: async (run, before) => new ArchivedData(daemon, user, run, before),
  };
}

interface Placed extends Mount {
  readonly volume: string;
  /** Where the data container has it. */
  readonly place: string;
}

const FOREVER = { ms: Number.POSITIVE_INFINITY };
const NOTHING: DiskUse = { bytes: 0, files: 0 };
const EVERYTHING: DiskUse = { bytes: Number.POSITIVE_INFINITY, files: Number.POSITIVE_INFINITY };

class ArchivedData implements RunData {
  readonly #daemon: Daemon;
  readonly #user: ContainerUser;
  readonly #run: DataOfRun;
  readonly #container: string;
  /** An outer mount stands before those that lie in it. */
  readonly #placed: readonly Placed[];
  #before: DiskUse;

  constructor(daemon: Daemon, user: ContainerUser, run: DataOfRun, before: DiskUse = NOTHING) {
    this.#before = before;
    this.#daemon = daemon;
    this.#user = user;
    this.#run = run;
    this.#container = `${run.name}-data`;
    const sorted = run.spec.mounts.toSorted((a, b) => a.container.length - b.container.length);
    this.#placed = sorted.map((mount, index) => {
      return { ...mount, volume: `${run.name}-${index}`, place: dataPlace(index) };
    });
  }

  get before() {
    return this.#before;
  }

  get mounts() {
    return this.#placed.map(({ volume, container, readOnly }) => {
      const options = { NoCopy: true, Labels: {}, DriverConfig: { Name: 'local', Options: {} } };
      return {
        Type: 'volume' as const,
        Source: volume,
        Target: container,
        ReadOnly: readOnly,
        VolumeOptions: options,
      };
    });
  }

  async fill(): Promise<void> {
    const { labels, signal } = this.#run;
    const image = await dataImage(this.#daemon, this.#user);
    for (const { volume } of this.#placed) {
      await this.#daemon.ask('make a volume', (docker) =>
        docker.createVolume({ Name: volume, Labels: labels }),
      );
    }
    await this.#daemon.ask('create a container for data', (docker) =>
      docker.createContainer({
        name: this.#container,
        Image: image,
        Labels: labels,
        NetworkDisabled: true,
        HostConfig: {
          NetworkMode: 'none',
          Binds: this.#placed.map(({ volume, place }) => `${volume}:${place}`),
        },
      }),
    );
    this.#before = await measure(
      this.#writable.map(({ host }) => host),
      EVERYTHING,
    );
    for (const placed of this.#placed) await this.#put(placed, signal);
  }

  async isBeyond(): Promise<boolean> {
    const ask = { method: 'GET', path: '/system/df', query: { type: 'volume' } } as const;
    try {
      const answer = await this.#daemon.ask('measure volumes', (docker, signal) =>
        dialJson(docker, { ...ask, signal }),
      );
      return this.#bytesIn(answer) > this.#before.bytes + this.#run.spec.limits.diskBytes;
    } catch (error) {
      // Away, which others find out about, or measuring for somebody else: it does so for one at a time.
      if (isPlatformError(error, 'unavailable')) return false;
      throw error;
    }
  }

  async collect(signal: AbortSignal): Promise<boolean> {
    const { limits, scratch } = this.#run.spec;
    const bounds = {
      bytes: this.#before.bytes + limits.diskBytes,
      files: this.#before.files + limits.diskFiles,
    };
    for (const [index, placed] of this.#writable.entries()) {
      const staged = join(scratch, `back-${index}`);
      await mkdir(staged, { recursive: true });
      if (!(await this.#get(placed, staged, bounds, signal))) return false;
      const came = await measure([staged], bounds);
      bounds.bytes -= came.bytes;
      bounds.files -= came.files;
      await replace(placed.host, staged);
    }
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const container = this.#container;
    await removed(
      this.#daemon.ask('remove a container', (docker) =>
        docker.getContainer(container).remove({ force: true }),
      ),
    );
    for (const { volume } of this.#placed) {
      await removed(this.#daemon.ask('remove a volume', (docker) => docker.getVolume(volume).remove()));
    }
  }

  #bytesIn(answer: unknown): number {
    const ours = new Set(this.#writable.map(({ volume }) => volume));
    return (measured.parse(answer).Volumes ?? [])
      .filter(({ Name }) => ours.has(Name))
      .reduce((sum, { UsageData }) => sum + Math.max(UsageData?.Size ?? 0, 0), 0);
  }

  get #writable(): readonly Placed[] {
    return this.#placed.filter((placed) => !placed.readOnly);
  }

  async #put({ host, place }: Placed, signal: AbortSignal): Promise<void> {
    const hollow = this.#writable.map((inner) => relative(host, inner.host)).filter(isInside);
    const tar = Readable.from(tarTree(host, { owner: this.#user, hollow, signal }));
    const options = { path: place, abortSignal: signal };
    try {
      await this.#daemon.ask(
        'take in data',
        (docker) => docker.getContainer(this.#container).putArchive(tar, options),
        { ...FOREVER, signal },
      );
    } finally {
      tar.destroy();
    }
  }

  async #get({ place }: Placed, staged: string, bounds: DiskUse, signal: AbortSignal): Promise<boolean> {
    const stop = new AbortController();
    const options = { path: place, abortSignal: AbortSignal.any([signal, stop.signal]) };
    const answer = await this.#daemon.ask(
      'hand out data',
      (docker) => docker.getContainer(this.#container).getArchive(options),
      { ...FOREVER, signal },
    );
    try {
      return await unpackOutput(bytesOf(answer), staged, bounds, signal);
    } finally {
      stop.abort();
    }
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

/** Puts what is in one folder in the place of what is in another. */
async function replace(folder: string, by: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) await removeTree(join(folder, name));
  for (const name of await readdir(by)) await rename(join(by, name), join(folder, name));
}
