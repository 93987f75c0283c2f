import { isPlatformError } from '@morpheo/common';

/** What a command is run with. */
export interface CommandRun {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Gets what is printed. */
  readonly output: { write(text: string): unknown };
  /** Ends the command; what it did stays. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a command as a process does: SIGINT and SIGTERM end it. Its exit code is what `run` resolves with, 2 where the
 * settings are wrong, and 1 where it ends by another error. `advice` is a line that follows the error.
 */
export async function runAsProcess(
  name: string,
  argv: readonly string[],
  run: (given: CommandRun) => Promise<number>,
  advice?: string,
): Promise<void> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  try {
    const { env, stdout: output } = process;
    process.exitCode = await run({ argv, env, output, signal: stop.signal });
  } catch (error) {
    process.exitCode = isPlatformError(error, 'invalid_request') ? 2 : 1;
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${name} ended: ${reason}\n${advice === undefined ? '' : `${advice}\n`}`);
  }
}
