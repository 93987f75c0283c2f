import { z } from 'zod';
import { Container } from './container.ts';
import { type Daemon, removed } from './daemon.ts';
import { isAnswer } from './daemon-error.ts';
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

const labels = z
  .record(z.string(), z.string())
  .nullish()
  .transform((read) => read ?? {});
const containers = z.array(z.object({ Names: z.array(z.string()), Labels: labels }));
const volumes = z.object({ Volumes: z.array(z.object({ Name: z.string(), Labels: labels })).nullish() });

/** Kills and removes what a worker has in a daemon and no run of it owns: what its dead self left, or a call that failed. */
export async function sweep({ daemon, worker, isAlive }: SweepOptions): Promise<Swept> {
  const filters = { label: [`${LABELS.worker}=${worker}`] };
  const all = { all: true, filters };
  const listed = await daemon.ask('list containers', (docker) => docker.listContainers(all));
  const found = containers
    .parse(listed)
    .map(({ Names, Labels }) => ({ name: Names[0]?.replace(/^\//, '') ?? '', labels: Labels }));
  const orphans = found.filter((thing) => thing.name !== '' && !isAlive(thing));
  for (const { name } of orphans) await new Container(daemon, name).remove();
  const kept = await daemon.ask('list volumes', (docker) => docker.listVolumes({ filters }));
  let count = 0;
  for (const { Name, Labels } of volumes.parse(kept).Volumes ?? []) {
    if (isAlive({ name: Name, labels: Labels })) continue;
    try {
      await removed(daemon.ask('remove a volume', (docker) => docker.getVolume(Name).remove()));
      count += 1;
    } catch (error) {
      // Still in use, for instance by a container that is just being removed: the next sweep has it.
      if (!isAnswer(error, 409)) throw error;
    }
  }
  return { containers: orphans.length, volumes: count };
}
