import { z } from 'zod';
import { type Engine, EngineRefusal } from './engine.ts';

/** The steps that run in a container, by the name that the worker labels it with. */
export const CONTAINER_STEPS = ['detarget', 'train', 'perf', 'predict'] as const;

/** See {@link CONTAINER_STEPS}. */
export type ContainerStep = (typeof CONTAINER_STEPS)[number];

const step = z.object({ 'org.morpheo.step': z.string() });
const inspected = z.object({
  Config: z.looseObject({ Labels: z.record(z.string(), z.string()) }),
  HostConfig: z.looseObject({
    Mounts: z.array(z.looseObject({ Target: z.string(), ReadOnly: z.boolean().optional() })),
  }),
});

/** How the worker sets up the container of a step: what another like it is created from. */
export type SeenContainer = z.output<typeof inspected>;

/**
 * Looks at the containers that the worker creates in a daemon while `work` goes on; returns how the last of each step
 * was set up. Throws where it saw none of one.
 */
export async function seeContainers<S extends string>(
  engine: Engine,
  steps: readonly S[],
  work: () => Promise<void>,
): Promise<Readonly<Record<S, SeenContainer>>> {
  const seen = new Map<string, SeenContainer>();
  const over = new AbortController();
  const ids = await engine.created(over.signal);
  const watching = (async () => {
    for await (const id of ids) {
      const found = inspected.safeParse(await inspect(engine, id));
      const { data: labels } = step.safeParse(found.data?.Config.Labels);
      if (found.success && labels !== undefined) seen.set(labels['org.morpheo.step'], found.data);
    }
  })();
  try {
    await work();
  } finally {
    over.abort();
    await watching;
  }
  const wanted = steps.flatMap((name) => {
    const container = seen.get(name);
    return container === undefined ? [] : [[name, container] as const];
  });
  if (wanted.length < steps.length)
    throw new Error(`Of the containers of ${steps.join(', ')} only ${[...seen.keys()].join(', ')} were seen`);
  // An entry for each of them.
  return Object.fromEntries(wanted) as Record<S, SeenContainer>;
}

/** What the daemon says of a container; undefined of one that was removed before it was asked about. */
async function inspect(engine: Engine, id: string): Promise<unknown> {
  try {
    return await engine.ask('GET', `/containers/${id}/json`);
  } catch (error) {
    if (error instanceof EngineRefusal && error.status === 404) return undefined;
    throw error;
  }
}
