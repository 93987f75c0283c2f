import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type DummyRuntimeOptions, openDummyRuntime } from '../runtime/dummy/index.ts';
import type { AttemptName, ContainerRuntime, Gpu } from '../runtime/index.ts';

/** The journal of an attempt as a dead process may have left it; a test says what is to be otherwise. */
export function aJournal({ order, attempt }: AttemptName, members: Record<string, unknown> = {}) {
  const steps = { train: { state: 'begun', printed: { bytes: 0, at: 0 } } };
  const gpus: readonly Gpu[] = [];
  return { order, attempt, leaseMs: 30_000, gpus, resumed: [], steps, ...members };
}

/** Puts the workspace of a dead process into a worker's folder: `record` as JSON, or as it is where it is a text. */
export async function leaveBehind(folder: string, attempt: AttemptName, record: unknown): Promise<void> {
  const workspace = join(folder, 'work', `${attempt.order}.${attempt.attempt}`);
  await mkdir(join(workspace, 'train'), { recursive: true });
  const text = typeof record === 'string' ? record : JSON.stringify(record);
  await writeFile(join(workspace, 'record.json'), text);
}

/** A dummy that finds nothing of the runs that it is to take up, and the attempts that it was told to let go of. */
export function openAdoptingDummy(options: DummyRuntimeOptions = {}) {
  const disowned: AttemptName[] = [];
  const runtime: ContainerRuntime = Object.assign(openDummyRuntime(options), {
    adopt: async () => undefined,
    disown: async ({ order, attempt }: AttemptName) => void disowned.push({ order, attempt }),
  });
  return { runtime, disowned };
}
