import { z } from 'zod';
import { Container, listContainers } from './client/container.ts';
import type { Daemon } from './client/daemon.ts';
import { isAnswer } from './client/errors.ts';
import { type InDaemon, LABELS } from './labels.ts';

/** What {@link sweep} works with. */
export interface SweepOptions {
  readonly daemon: Daemon;
  /** The UUID of the worker whose things are removed. */
  readonly worker: string;
  /** Whether something is to be left alone, for instance since it belongs to a run of this process. */
  readonly isAlive: (thing: InDaemon) => boolean;
}

/** How many of each were removed. */
export interface Swept {
  readonly containers: number;
  readonly volumes: number;
}

const volumes = z.object({
  Volumes: z
    .array(z.object({ Name: z.string(), Labels: z.record(z.string(), z.string()).nullish() }))
    .nullish(),
});

/** Kills and removes what a worker has in a daemon and no run of it owns: what an earlier process of it left, or a call that failed. */
export async function sweep({ daemon, worker, isAlive }: SweepOptions): Promise<Swept> {
  const label = [`${LABELS.worker}=${worker}`];
  const all = await listContainers(daemon, label);
  const orphans = all.filter((thing) => thing.name !== '' && !isAlive(thing));
  for (const { name } of orphans) await new Container(daemon, name).remove();
  const kept = await daemon.ask('list volumes', (docker) => docker.listVolumes({ filters: { label } }));
  let count = 0;
  for (const { Name, Labels } of volumes.parse(kept).Volumes ?? []) {
    if (isAlive({ name: Name, labels: Labels ?? {} })) continue;
    try {
      await daemon.removeVolume(Name);
      count += 1;
    } catch (error) {
      // Still in use, for instance by a container that is just being removed: the next sweep has it.
      if (!isAnswer(error, 409)) throw error;
    }
  }
  return { containers: orphans.length, volumes: count };
}
