import { PlatformError } from '@morpheo/common';
import type Docker from 'dockerode';
import { z } from 'zod';
import { orAborted } from '../../abort.ts';
import type { DaemonAddress } from './address.ts';
import { type ConnectionOptions, openConnection } from './connection.ts';
import { explained, isAnswer } from './daemon-error.ts';
import { dialJson } from './dial.ts';
import { type GpuFacts, gpuInfo } from './gpu-request.ts';

/** What we need to know of a daemon. */
export interface DaemonFacts {
  readonly cpus: number;
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

/** The API that we speak where the daemon does: it has all we need, and daemons since 20.10 (2020) know it. */
const API = '1.41';

const versions = z.object({ ApiVersion: z.string(), MinAPIVersion: z.string().optional() });

/** A Docker daemon that may come and go. Its errors are `unavailable`, with the address and a remedy. */
export class Daemon {
  readonly #options: DaemonOptions;
  #client: Promise<Docker> | undefined;
  #facts: Promise<DaemonFacts> | undefined;

  constructor(options: DaemonOptions) {
    this.#options = options;
  }

  /** Where it is. */
  get place(): DaemonAddress {
    return this.#options.address;
  }

  /** Where it is, as it was given, for messages. */
  get address(): string {
    return this.#options.address.text;
  }

  /**
   * Asks the daemon something; `what` are words that follow "would not". Throws a `DaemonAnswer` where the daemon
   * says no, `unavailable` where it does not answer, and the signal's reason.
   */
  async ask<T>(
    what: string,
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
      const docker = await orAborted(this.#connected(), stop);
      return await orAborted(question(docker, stop), stop);
    } catch (error) {
      signal?.throwIfAborted();
      throw explained(stop.aborted ? stop.reason : error, what, this.#options.address);
    }
  }

  /** Resolves when the daemon answers; asks which API it speaks anew, since it may be another than before. */
  async ping(signal?: AbortSignal): Promise<void> {
    const known = this.#client;
    try {
      const ping = { method: 'GET', path: '/_ping' } as const;
      await this.ask('answer', async (docker, stop) => await dialJson(docker, { ...ping, signal: stop }), {
        signal,
      });
    } catch (error) {
      if (this.#client === known) this.#client = undefined;
      this.#facts = undefined;
      throw error;
    }
  }

  /** What the daemon says of itself; asked once. */
  async facts(): Promise<DaemonFacts> {
    this.#facts ??= this.#readFacts();
    try {
      return await this.#facts;
    } catch (error) {
      this.#facts = undefined;
      throw error;
    }
  }

  /** The daemon's clock, in milliseconds since 1970. */
  async time(): Promise<number> {
    const about = { method: 'GET', path: '/info' } as const;
    const told = await this.ask('tell its time', (docker, signal) => dialJson(docker, { ...about, signal }));
    return Date.parse(clock.parse(told).SystemTime);
  }

  async #connected(): Promise<Docker> {
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
    const place = { address, certificates };
    try {
      const signal = AbortSignal.timeout(callMs);
      const asked = dialJson(openConnection(place), { method: 'GET', path: '/version', signal });
      const spoken = versions.parse(await orAborted(asked, signal));
      return openConnection({ ...place, version: versionToSpeak(spoken, address.text) });
    } catch (error) {
      throw explained(error, 'tell its version', address);
    }
  }

  async #readFacts(): Promise<DaemonFacts> {
    const about = { method: 'GET', path: '/info' } as const;
    const told = await this.ask('tell what it is', (docker, signal) =>
      dialJson(docker, { ...about, signal }),
    );
    const info = facts.parse(told);
    const backing = info.DriverStatus.find(([name]) => name === 'Backing Filesystem')?.[1];
    return {
      cpus: info.NCPU,
      keepsContainers: info.LiveRestoreEnabled,
      boundsRootFolder: info.Driver === 'btrfs' || (info.Driver === 'overlay2' && backing === 'xfs'),
      gpus: gpuInfo.parse(told),
    };
  }
}

const facts = z.object({
  NCPU: z.number().min(1),
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
