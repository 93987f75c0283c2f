import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { AdoptOptions, RunLimits, RunSpec } from '../index.ts';
import type { Bench, RuntimeHarness } from './bench.ts';

const NOTHING_PRINTED = { bytes: 0, at: 0 };

/** A run whose worker was killed once it had printed `ready`; `sh` prints that, and has a mount at `$2`. */
export async function abandoned(
  { abandonSpeaking }: RuntimeHarness,
  bench: Bench,
  sh: string,
  limits: Partial<RunLimits> = {},
) {
  const context = await bench.program({ sh });
  const mount = await bench.mount('/data/out');
  const spec = await bench.spec({ args: ['/data/out'], mounts: [mount], limits });
  await abandonSpeaking?.(join(bench.folder, 'worker'), context, spec, 'ready');
  const quiet = { signal: new AbortController().signal, onOutput: async () => undefined };
  const image = await bench.runtime.prepare(context, quiet);
  const scratch = join(spec.scratch, 'again');
  await mkdir(scratch);
  await bench.runtime.recover([spec.labels]);
  return { spec: { ...spec, image, scratch }, mount };
}

/** Takes a run up: how it ended, or undefined where it cannot be taken up, and all that it printed. */
export async function adopt({ runtime }: Bench, spec: RunSpec, options: Partial<AdoptOptions> = {}) {
  let printed = '';
  const onOutput = async ({ bytes }: { bytes: Uint8Array }) => {
    printed += Buffer.from(bytes).toString('latin1');
  };
  const { signal } = new AbortController();
  const result = await runtime.adopt?.(spec, { signal, onOutput, printed: NOTHING_PRINTED, ...options });
  return { result, printed };
}
