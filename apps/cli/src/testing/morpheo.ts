import { runCli } from '../run-cli.ts';
import { Screen } from './screen.ts';

/** How a test calls the program. */
export interface CallOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Whether stdout and stderr are terminals. */
  readonly isTTY?: boolean;
  readonly signal?: AbortSignal;
}

/** A call that runs. */
export interface RunningCall {
  readonly stdout: Screen;
  readonly stderr: Screen;
  readonly ended: Promise<CallResult>;
}

/** What a call left. */
export interface CallResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts `morpheo` in this process. */
export function startMorpheo(argv: readonly string[], options: CallOptions = {}): RunningCall {
  const isTTY = options.isTTY ?? false;
  const stdout = new Screen({ isTTY });
  const stderr = new Screen({ isTTY });
  const ended = runCli({ argv, env: options.env ?? {}, stdout, stderr, signal: options.signal }).then(
    (code) => ({
      code,
      stdout: stdout.text,
      stderr: stderr.text,
    }),
  );
  return { stdout, stderr, ended };
}

/** Runs `morpheo` in this process to its end. */
export async function morpheo(argv: readonly string[], options: CallOptions = {}): Promise<CallResult> {
  return await startMorpheo(argv, options).ended;
}
