import { join } from 'node:path';
import { copyImages, docker, dockerIfThere, engine, inner } from './dind/docker.ts';
import { type DindTls, readEndpoint } from './dind/endpoint.ts';
import { cloneVolume, goldenVolume } from './dind/golden.ts';
import { clean, hostImages, type ImageIds, isClean } from './dind/lib.ts';
import type { DindOptions } from './dind/options.ts';
import { ensureBaseImages, stateOf, untilItAnswers } from './dind/outer.ts';
import { removeFolder, removeOrphans } from './dind/owner.ts';
import { type Created, create } from './dind/plan.ts';

export type { DindTls } from './dind/endpoint.ts';
export type { DindOptions } from './dind/options.ts';

/** A Docker daemon in a container, as in production, that belongs to a test. It has `BASE_IMAGES`, and no network. */
export interface Dind {
  /** The daemon's socket on the host. */
  readonly socketPath: string;
  /** A folder of the host that stands at the same path in the daemon, so that it can be mounted from there. */
  readonly jobs: string;
  /** The name of the daemon's own container on the host. */
  readonly container: string;
  readonly tls?: DindTls;
  /**
   * Sends a signal. `SIGKILL` ends all that runs inside as well; that and `SIGTERM` resolve once the daemon is gone.
   * `SIGSTOP` and `SIGCONT` freeze and thaw everything inside.
   */
  kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** Ends it in an orderly way; its images and containers stay until it is disposed of. */
  stop(): Promise<void>;
  /** Starts it again on what is there, after `kill` or `stop` or while it runs; resolves when it answers. */
  restart(): Promise<void>;
  /** Brings images of the host's daemon in; what the host has not is pulled or built there (utils/base-images). */
  loadImages(tags: readonly string[]): Promise<void>;
  /** Runs a program beside the daemon, in its container; returns what it printed, throws with its stderr. */
  exec(...command: readonly string[]): Promise<string>;
  /** Removes it with all that it had. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** The images that every daemon of a test starts with. */
export const BASE_IMAGES: readonly string[] = ['busybox:1.36', 'node:24-slim'];

/**
 * Starts a Docker daemon for a test, in a second or two; in the machine's first use its images are made, which may
 * take a minute or two. Daemons of tests that died are removed first.
 */
export async function startDind(options: DindOptions = {}): Promise<Dind> {
  await removeOrphans();
  const created = await create(options);
  const { container, folder, jobs } = created;
  const socketPath = join(folder, 'run', 'docker.sock');
  const start = async () => {
    await docker('start', container);
    await untilItAnswers(container, () => engine(socketPath, 'GET', '/_ping'));
  };
  try {
    if (created.isPooled) await startWithImages(created, socketPath, start);
    else await start();
    if (options.swarm === true) await inner({ socketPath }, 'swarm', 'init', '--advertise-addr', 'eth0');
    const tls =
      created.network === undefined ? undefined : await readEndpoint(container, join(folder, 'certs'));
    return {
      socketPath,
      jobs,
      container,
      ...(tls && { tls }),
      kill: (signal) => kill(container, signal),
      stop: async () => void (await docker('stop', '--time', '20', container)),
      restart: async () => {
        const state = await stateOf(container);
        if (state === 'paused') await docker('unpause', container);
        if (state !== 'exited') await docker('stop', '--time', '20', container);
        await start();
      },
      loadImages: (tags) => loadImages(tags, socketPath),
      exec: (...command) => docker('exec', container, ...command),
      [Symbol.asyncDispose]: () => dispose(created, socketPath),
    };
  } catch (error) {
    await remove(created);
    throw error;
  }
}

/** Starts it on the folder that an earlier test left; where that is not as it should be, on a copy of the golden one. */
async function startWithImages(
  created: Created,
  socketPath: string,
  start: () => Promise<void>,
): Promise<void> {
  const { container, image, lib } = created;
  const images = (await hostImages(BASE_IMAGES)) ?? (await makeBaseImages());
  await start();
  if (await isClean(socketPath, images)) return;
  await clean(socketPath, images);
  if (await isClean(socketPath, images)) return;
  await kill(container, 'SIGKILL');
  await cloneVolume(image, await goldenVolume(image, images), lib);
  await start();
  if (await isClean(socketPath, images)) return;
  throw new Error(
    'The golden volume has not the images it should: remove the volumes morpheo-dind-golden-*.',
  );
}

async function makeBaseImages(): Promise<ImageIds> {
  await ensureBaseImages(BASE_IMAGES);
  return (await hostImages(BASE_IMAGES)) ?? new Map();
}

async function loadImages(tags: readonly string[], socketPath: string): Promise<void> {
  if ((await hostImages(tags)) === undefined) await ensureBaseImages(tags);
  await copyImages(tags, socketPath);
}

async function kill(container: string, signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
  if (signal === 'SIGSTOP') await docker('pause', container);
  else if (signal === 'SIGCONT') await docker('unpause', container);
  else {
    await docker('kill', '--signal', signal, container);
    await docker('wait', container);
  }
}

/** Leaves the pooled folder as clean as it was, and nothing else. */
async function dispose(created: Created, socketPath: string): Promise<void> {
  const { container } = created;
  try {
    if ((await stateOf(container)) !== 'running') return;
    const images = created.isPooled ? await hostImages(BASE_IMAGES) : undefined;
    if (images !== undefined) await clean(socketPath, images);
  } catch {
    // The next test that gets this folder sees that it is not clean.
  } finally {
    await remove(created);
  }
}

async function remove({ container, image, folder, lib, isPooled, network }: Created): Promise<void> {
  await docker('rm', '--force', '--volumes', container);
  if (!isPooled) await dockerIfThere('volume', 'rm', lib);
  if (network !== undefined) await dockerIfThere('network', 'rm', network);
  await removeFolder(folder, image);
}
