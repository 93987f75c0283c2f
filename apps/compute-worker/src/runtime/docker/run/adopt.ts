import { createHash } from 'node:crypto';
import type { DiskUse } from '../../folders.ts';
import type { RunSpec } from '../../index.ts';
import { dialStream } from '../client/connection.ts';
import { Container, type ContainerState, listContainers, UNKNOWN_EXIT } from '../client/container.ts';
import type { Daemon } from '../client/daemon.ts';
import type { DataTransport, RunData } from '../data/transport.ts';
import { isOfRun, LABELS } from '../labels.ts';

/**
 * How a process of a worker finds the container of a run that its dead predecessor started. What has to be known of
 * the run is in labels of the container itself, so that nothing else has to be kept in step with it.
 */

/** A container that can be taken up. */
export interface Adoptable {
  readonly container: Container;
  readonly running: boolean;
  /** When its run began, in milliseconds since 1970 by the daemon's clock. */
  readonly startedAt: number;
  /** For how many milliseconds it has run by now, or ran until its end. */
  readonly ranMs: () => number;
  /** What stood in its writable mounts when it began. */
  readonly before: DiskUse;
  /** What to add to a time of this machine to have the daemon's, in milliseconds. */
  readonly clockOffsetMs: number;
}

/** The labels by which a run is taken up later: what it is, and how its data went there. */
export function adoptionLabels(
  spec: RunSpec,
  kind: DataTransport['kind'],
  data: RunData,
): Record<string, string> {
  const { bytes, files } = data.before;
  return { [LABELS.run]: fingerprint(spec), [LABELS.data]: `${kind} ${bytes} ${files}` };
}

/** Arguments, variables, mounts and GPUs: what a container cannot be given later. */
function fingerprint({ args, environment, mounts, gpus = [] }: RunSpec): string {
  const folders = mounts.map(({ host, container, readOnly }) => [host, container, readOnly]);
  return createHash('sha256')
    .update(JSON.stringify([args, folders, gpus, ...(environment === undefined ? [] : [environment])]))
    .digest('hex');
}

/** What a run is looked for by. */
export interface Sought {
  readonly daemon: Daemon;
  /** The worker's UUID. */
  readonly worker: string;
  readonly spec: RunSpec;
  readonly kind: DataTransport['kind'];
}

/** The one container of a run, where it is as it should be and it can be told how it goes, or ended. */
export async function findAdoptable(sought: Sought): Promise<Adoptable | undefined> {
  const { daemon, worker, spec } = sought;
  // The container that data go through has no label of a run.
  const all = await listContainers(daemon, [`${LABELS.worker}=${worker}`]);
  const [found, another] = all.filter((one) => isOfRun(one, spec) && LABELS.run in one.labels);
  if (found === undefined || another !== undefined) return undefined;
  const { [LABELS.run]: run, [LABELS.data]: data = '' } = found.labels;
  const [kind, bytes, files] = data.split(' ');
  const before = { bytes: Number(bytes ?? Number.NaN), files: Number(files ?? Number.NaN) };
  if (run !== fingerprint(spec) || kind !== sought.kind) return undefined;
  if (Number.isNaN(before.bytes) || Number.isNaN(before.files)) return undefined;
  const container = new Container(daemon, found.name);
  const state = await container.inspect();
  const now = await daemon.time();
  const foundAt = performance.now();
  if (!state.started || !(await isItsOwnEnd(daemon, container, state, now))) return undefined;
  const { running, endedAt } = state;
  const clockOffsetMs = now - Date.now();
  // One that was started ahead says itself when its run began.
  const { [LABELS.began]: began } = found.labels;
  const startedAt = began === undefined ? state.startedAt : Number(began) + clockOffsetMs;
  const untilNow = elapsedMs(startedAt, now);
  const ranMs = running
    ? () => untilNow + (performance.now() - foundAt)
    : () => elapsedMs(startedAt, endedAt);
  return { container, running, startedAt, ranMs, before, clockOffsetMs };
}

/** The time between two moments that a daemon tells, in milliseconds: none where its clock was set back meanwhile. */
export function elapsedMs(from: number, to: number): number {
  return Math.max(0, to - from);
}

/**
 * Whether a container runs, or ended by its own doing. A daemon that stops ends its containers, also politely, so
 * that how they ended says nothing; the next daemon remembers no end of theirs, since it keeps events in memory.
 */
async function isItsOwnEnd(
  daemon: Daemon,
  { name }: Container,
  state: ContainerState,
  now: number,
): Promise<boolean> {
  if (state.running) return true;
  const { keepsContainers } = await daemon.facts();
  if (keepsContainers && state.exitCode !== UNKNOWN_EXIT) return true;
  const query = {
    since: String(Math.floor(state.endedAt / 1000) - 1),
    until: String(Math.ceil(now / 1000) + 1),
    filters: JSON.stringify({ container: [name], event: ['die'] }),
  };
  return await daemon.ask('tell its events', async (docker, signal) => {
    const events = await dialStream(docker, { method: 'GET', path: '/events', query, signal });
    try {
      for await (const _event of events) return true;
      return false;
    } finally {
      events.destroy();
    }
  });
}
