import { copyFile, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Mount, RunOptions, RunResult, RunSpec } from '../index.ts';
import type { DummyBehaviour, DummyStep } from './behaviour.ts';

type ContainerStep = Exclude<DummyStep, 'build'>;

/** Does what a step's behaviour says, the waiting and throwing apart. */
export async function behave(
  step: ContainerStep,
  behaviour: DummyBehaviour,
  spec: RunSpec,
  onOutput: RunOptions['onOutput'],
): Promise<Pick<RunResult, 'ended' | 'exitCode'>> {
  const files = new ContainerFiles(spec.mounts);
  if (!(await print(behaviour, spec.limits.outputBytes, onOutput)))
    return { ended: 'output_limit', exitCode: 137 };
  const complaint = behaviour.idle === true ? undefined : await CONTRACT[step](files, spec);
  if (complaint !== undefined) {
    await onOutput({ stream: 'stderr', bytes: Buffer.from(`${complaint}\n`) });
    return { ended: 'exited', exitCode: 1 };
  }
  for (const [path, text] of Object.entries(behaviour.write ?? {})) await files.write(path, text);
  for (const [path, target] of Object.entries(behaviour.link ?? {})) await symlink(target, files.host(path));
  for (const path of behaviour.remove ?? []) await rm(files.host(path), { recursive: true, force: true });
  if (behaviour.ended !== undefined) return { ended: behaviour.ended, exitCode: 137 };
  return { ended: 'exited', exitCode: behaviour.exit ?? 0 };
}

/** Returns false once the limit is passed. */
async function print(
  behaviour: DummyBehaviour,
  limit: number,
  onOutput: RunOptions['onOutput'],
): Promise<boolean> {
  let left = limit;
  const pass = async (stream: 'stdout' | 'stderr', text: string) => {
    const bytes = Buffer.from(text).subarray(0, left);
    left -= text.length;
    if (bytes.byteLength > 0) await onOutput({ stream, bytes });
  };
  const line = `${'.'.repeat(99)}\n`;
  for (let rest = behaviour.print_bytes ?? 0; rest > 0 && left >= 0; rest -= line.length) {
    await pass('stdout', line.slice(0, rest));
  }
  await pass('stdout', behaviour.stdout ?? '');
  await pass('stderr', behaviour.stderr ?? '');
  return left >= 0;
}

/** A container's files, by their paths in it. */
class ContainerFiles {
  readonly #mounts: readonly Mount[];

  constructor(mounts: readonly Mount[]) {
    this.#mounts = mounts.toSorted((a, b) => b.container.length - a.container.length);
  }

  /** Where a path of the container is on this machine. */
  host(path: string): string {
    const mount = this.#mounts.find(
      ({ container }) => path === container || path.startsWith(`${container}/`),
    );
    if (mount === undefined)
      throw new Error(`The dummy has no mount at ${path}: the caller of the runtime is wrong`);
    return join(mount.host, path.slice(mount.container.length));
  }

  /** The names of the regular files in a folder, sorted; none where there is no folder. */
  async names(folder: string): Promise<string[]> {
    const inside = await readdir(this.host(folder), { withFileTypes: true }).catch(() => []);
    return inside
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name)
      .toSorted();
  }

  async write(path: string, text: string): Promise<void> {
    await mkdir(dirname(this.host(path)), { recursive: true });
    await writeFile(this.host(path), text);
  }

  async copy(from: string, to: string): Promise<void> {
    await copyFile(this.host(from), this.host(to));
  }
}

/**
 * What each step has to do. Source: "Container contract of the Morpheo worker". A step that lacks its inputs says so
 * and fails, as a real one would; the returned text is what it prints.
 */
const CONTRACT: Readonly<
  Record<ContainerStep, (files: ContainerFiles, spec: RunSpec) => Promise<string | undefined>>
> = {
  detarget: async (files) => {
    for (const name of await files.names('/hidden_data/test')) {
      await files.copy(`/hidden_data/test/${name}`, `/submission_data/test/${name}`);
    }
    return undefined;
  },

  train: async (files) => {
    const [train, test] = [await files.names('/data/train'), await files.names('/data/test')];
    if (train.length === 0) return 'There is nothing in /data/train to learn from';
    await predictAll(files, '/data/train', train);
    await predictAll(files, '/data/test', test);
    const started = (await files.names('/data/model')).length > 0;
    await files.write(
      '/data/model/model_trained.json',
      JSON.stringify({ trained_on: train, started_from_model: started }),
    );
    return undefined;
  },

  perf: async (files) => {
    const train = await scores(files, '/submission_data/train');
    const test = await scores(files, '/submission_data/test');
    if (train === undefined || test === undefined) return 'A prediction is missing';
    const all = Object.values(test);
    const perf = all.reduce((sum, score) => sum + score, 0) / Math.max(all.length, 1);
    await files.write(
      '/hidden_data/perf/performance.json',
      JSON.stringify({ perf, train_perf: train, test_perf: test }),
    );
    return undefined;
  },

  predict: async (files) => {
    if ((await files.names('/data/model')).length === 0) return 'There is no model in /data/model';
    await predictAll(files, '/data/test', await files.names('/data/test'));
    return undefined;
  },

  job: async (files, { args = [], environment = {} }) => {
    await files.write('/outputs/called.json', JSON.stringify({ args, environment }));
    return undefined;
  },
};

async function predictAll(files: ContainerFiles, folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) await files.write(`${folder}/pred/${name}`, `prediction of ${name}\n`);
}

/** A score for each file of a folder that has a prediction beside it; undefined where one has none. */
async function scores(files: ContainerFiles, folder: string): Promise<Record<string, number> | undefined> {
  const predicted = new Set(await files.names(`${folder}/pred`));
  const names = await files.names(folder);
  if (names.some((name) => !predicted.has(name))) return undefined;
  return Object.fromEntries(names.map((name) => [name, 0.5]));
}
