import type { IncomingMessage } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import { abortable, PlatformError } from '@morpheo/common';
import type Docker from 'dockerode';
import { z } from 'zod';
import { remembered } from '../../driver.ts';
import { type GpuFacts, gpuInfo } from '../gpu/gpu-request.ts';
import type { DaemonAddress } from './address.ts';
import {
  type ConnectionOptions,
  type DialRequest,
  dialJson,
  dialStream,
  openConnection,
} from './connection.ts';
import { explained, isAnswer } from './errors.ts';

/** What a driver needs to know of a daemon. */
export interface DaemonFacts {
  readonly cpus: number;
  /** What it runs on, as its kernel calls it: such as `x86_64`. */
  readonly machine: string;
  /** Containers go on while the daemon is started again. */
  readonly keepsContainers: boolean;
  /** It can bound what a container writes to its own file system. */
  readonly boundsRootFolder: boolean;
  readonly gpus: GpuFacts;
}

/** How one question to the daemon is asked. */
export interface AskOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long it may take; as the daemon's `callMs` where absent. No bound at all: `Infinity`. */
  readonly ms?: number;
}

/** What a {@link Daemon} is opened with. */
export type DaemonOptions = Omit<ConnectionOptions, 'version'> & {
  /** How long a call may take, in milliseconds. */
  readonly callMs: number;
};

/** The API that is spoken where the daemon knows it: it has all that is needed, and daemons since 20.10 (2020) know it. */
const API = '1.41';

const versions = z.object({ ApiVersion: z.string(), MinAPIVersion: z.string().optional() });

const mountpoint = z.object({ Mountpoint: z.string().startsWith('/') });

/** A Docker daemon that may come and go. Its errors are `unavailable`, with the address and a remedy. */
export class Daemon {
  readonly #options: DaemonOptions;
  #client: Promise<Docker> | undefined;
  /** What the client was made with. */
  #certificates: ConnectionOptions['certificates'];
  #facts = remembered(() => this.#readFacts());

  constructor(options: DaemonOptions) {
    this.#options = options;
  }

  /** Where it is; its `text` is for messages. */
  get address(): DaemonAddress {
    return this.#options.address;
  }

  /**
   * Asks the daemon something; `purpose` are words that follow "would not". Throws a `DaemonAnswer` where the daemon
   * says no, `unavailable` where it does not answer, and the signal's reason.
   */
  async ask<T>(
    purpose: string,
    question: (docker: Docker, signal: AbortSignal) => Promise<T>,
    options: AskOptions = {},
  ): Promise<T> {
    const { signal, ms = this.#options.callMs } = options;
    signal?.throwIfAborted();
    const bounds = [
      ...(signal === undefined ? [] : [signal]),
      ...(ms === Number.POSITIVE_INFINITY ? [] : [AbortSignal.timeout(ms)]),
    ];
    const stop = AbortSignal.any(bounds);
    try {
      const docker = await abortable(this.#connected(), stop);
      return await abortable(question(docker, stop), stop);
    } catch (error) {
      signal?.throwIfAborted();
      throw explained(stop.aborted ? stop.reason : error, purpose, this.#options.address);
    }
  }

  /** Asks the daemon for the JSON of a path; see {@link ask}. */
  async get(
    purpose: string,
    path: string,
    { query, ...options }: AskOptions & Pick<DialRequest, 'query'> = {},
  ): Promise<unknown> {
    const request = { method: 'GET', path, ...(query && { query }) } as const;
    return await this.ask(purpose, (docker, signal) => dialJson(docker, { ...request, signal }), options);
  }

  /** Asks the daemon for a stream, which the request's signal ends; see {@link ask}. */
  async stream(purpose: string, request: DialRequest): Promise<IncomingMessage> {
    return await this.ask(purpose, (docker) => dialStream(docker, request));
  }

  /** What the daemon says of an image; undefined where it has none of that name. */
  async inspectImage(name: string, options?: AskOptions): Promise<unknown> {
    try {
      return await this.ask('look for an image', (docker) => docker.getImage(name).inspect(), options);
    } catch (error) {
      if (isAnswer(error, 404)) return undefined;
      throw error;
    }
  }

  /** Removes an image; that it is not there is as good. Throws an answer of 409 where a container uses it. */
  async removeImage(name: string): Promise<void> {
    await removed(this.ask('remove an image', (docker) => docker.getImage(name).remove()));
  }

  /** The path of a volume on the daemon's own machine. */
  async volumePath(name: string): Promise<string> {
    const answer = await this.ask('inspect a volume', (docker) => docker.getVolume(name).inspect());
    return mountpoint.parse(answer).Mountpoint;
  }

  /** Removes a volume; that it is not there is as good. Throws an answer of 409 where a container uses it. */
  async removeVolume(name: string): Promise<void> {
    await removed(this.ask('remove a volume', (docker) => docker.getVolume(name).remove()));
  }

  /** Resolves when the daemon answers; asks which API it speaks anew, since it may be another than before. */
  async ping(signal?: AbortSignal): Promise<void> {
    const asked = this.#client;
    try {
      await this.get('answer', '/_ping', { signal });
    } catch (error) {
      if (this.#client === asked) this.#client = undefined;
      this.#facts = remembered(() => this.#readFacts());
      throw error;
    }
  }

  /** What the daemon says of itself; asked once. */
  async facts(): Promise<DaemonFacts> {
    return await this.#facts();
  }

  /** The daemon's clock, in milliseconds since 1970. */
  async time(): Promise<number> {
    return Date.parse(clock.parse(await this.get('tell its time', '/info')).SystemTime);
  }

  async #connected(): Promise<Docker> {
    const certificates = this.#options.certificates && { ...this.#options.certificates };
    if (!isDeepStrictEqual(certificates, this.#certificates)) this.#client = undefined;
    this.#certificates = certificates;
    this.#client ??= this.#negotiate();
    try {
      return await this.#client;
    } catch (error) {
      this.#client = undefined;
      throw error;
    }
  }

  async #negotiate(): Promise<Docker> {
    const { address, certificates, callMs } = this.#options;
    const target = { address, certificates };
    try {
      const signal = AbortSignal.timeout(callMs);
      const asked = dialJson(openConnection(target), { method: 'GET', path: '/version', signal });
      const spoken = versions.parse(await abortable(asked, signal));
      return openConnection({ ...target, version: versionToSpeak(spoken, address.text) });
    } catch (error) {
      throw explained(error, 'tell its version', address);
    }
  }

  async #readFacts(): Promise<DaemonFacts> {
    const answer = await this.get('tell what it is', '/info');
    const info = facts.parse(answer);
    const backing = info.DriverStatus.find(([name]) => name === 'Backing Filesystem')?.[1];
    return {
      cpus: info.NCPU,
      machine: info.Architecture,
      keepsContainers: info.LiveRestoreEnabled,
      boundsRootFolder: info.Driver === 'btrfs' || (info.Driver === 'overlay2' && backing === 'xfs'),
      gpus: gpuInfo.parse(answer),
    };
  }
}

const facts = z.object({
  NCPU: z.number().min(1),
  Architecture: z.string().catch('x86_64'),
  LiveRestoreEnabled: z.boolean().catch(false),
  Driver: z.string(),
  DriverStatus: z.array(z.tuple([z.string(), z.string()])).catch([]),
});

const clock = z.object({ SystemTime: z.string() });

/** The oldest version that both sides know: it changes least. */
function versionToSpeak(spoken: z.infer<typeof versions>, address: string): string {
  const { ApiVersion, MinAPIVersion = API } = spoken;
  if (compare(ApiVersion, API) < 0) {
    throw new PlatformError(
      'unavailable',
      `The Docker daemon at ${address} speaks API ${ApiVersion}, and ${API} is needed: use Docker 20.10 or newer.`,
    );
  }
  return compare(MinAPIVersion, API) > 0 ? MinAPIVersion : API;
}

function compare(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split('.').map(Number);
  const [majorB = 0, minorB = 0] = b.split('.').map(Number);
  return majorA - majorB || minorA - minorB;
}

/** Does what removes something; that it is not there, or goes already, is as good. */
export async function removed(removal: Promise<unknown>): Promise<void> {
  try {
    await removal;
  } catch (error) {
    if (!isAnswer(error, 404) && !(isAnswer(error, 409) && /already in progress/.test(error.said)))
      throw error;
  }
}
