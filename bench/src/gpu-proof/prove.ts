import { passThrough } from './passthrough.ts';
import { type MachineGpu, outputOf, type Proof, type ProofContext } from './proof.ts';
import { runnerWithLease } from './runner-with-lease.ts';
import { trainOnGpu } from './train-on-gpu.ts';

/** How a proof ended. */
export interface Outcome {
  readonly name: string;
  readonly end: 'shown' | 'left out' | 'failed';
  /** What was seen, or why not. */
  readonly seen: string;
}

/** All there are, in the order in which they are run. */
export const PROOFS: readonly Proof[] = [
  {
    name: 'the driver lists GPUs',
    show: async ({ gpus }) => gpus.map(({ id, name }) => `${name} (${id})`).join(', '),
  },
  passThrough,
  trainOnGpu,
  runnerWithLease,
];

/** Runs all proofs, one after the other, each in a folder of its own; without a GPU all are left out. */
export async function prove(openFolder: () => Promise<Folder>, say: ProofContext['say']): Promise<Outcome[]> {
  const gpus = await machineGpus();
  const outcomes: Outcome[] = [];
  for (const { name, missing, show } of PROOFS) {
    const reason = typeof gpus === 'string' ? gpus : await missing?.();
    if (typeof gpus === 'string' || reason !== undefined) {
      outcomes.push({ name, end: 'left out', seen: reason ?? '' });
      continue;
    }
    say(`${name} ...`);
    await using folder = await openFolder();
    const outcome = await show({ gpus, folder: folder.path, say }).then(
      (seen) => ({ end: 'shown', seen }) as const,
      (error: unknown) =>
        ({ end: 'failed', seen: error instanceof Error ? error.message : String(error) }) as const,
    );
    outcomes.push({ name, ...outcome });
  }
  return outcomes;
}

/** A folder that goes when it is disposed of. */
type Folder = AsyncDisposable & { readonly path: string };

/** The GPUs of this machine, or why there are none. */
async function machineGpus(): Promise<readonly MachineGpu[] | string> {
  try {
    const lines = await outputOf('nvidia-smi', ['--query-gpu=uuid,name', '--format=csv,noheader']);
    const gpus = lines.split('\n').flatMap((line) => {
      const [id = '', name = ''] = line.split(', ');
      return id.startsWith('GPU-') ? [{ id, name }] : [];
    });
    return gpus.length > 0 ? gpus : 'the driver lists no GPU';
  } catch {
    return 'this machine has no GPU: there is no nvidia-smi, or it fails';
  }
}
