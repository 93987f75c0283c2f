import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** A GPU as the driver of this machine lists it. */
export interface MachineGpu {
  readonly id: string;
  readonly name: string;
}

/** What a proof works with. */
export interface ProofContext {
  readonly gpus: readonly MachineGpu[];
  /** An empty folder, which goes afterwards. */
  readonly folder: string;
  readonly say: (line: string) => void;
}

/** Something that only a real GPU shows. */
export interface Proof {
  readonly name: string;
  /** Why it cannot be run here, where that is so. */
  readonly missing?: () => Promise<string | undefined>;
  /** Resolves with what was seen; throws where it was not as it should be. */
  readonly show: (context: ProofContext) => Promise<string>;
}

/** What a program prints; throws with its last words where it fails. */
export async function outputOf(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<string> {
  const run = promisify(execFile)(program, [...args], {
    env: { ...process.env, ...env },
    maxBuffer: 2 ** 26,
  });
  const { stdout } = await run.catch((error: Error & { stderr?: string }) => {
    const said = error.stderr?.trim().split('\n').at(-1) ?? '';
    throw new Error(`${program} failed: ${said === '' ? error.message : said}`);
  });
  return stdout.trim();
}
