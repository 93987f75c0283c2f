import { CommanderError } from 'commander';
import { createContext, type LocalContext, type Runner } from './context.ts';
import { CliError, EXIT, exitCodeOf, hintOf, messageOf } from './exit-codes.ts';
import { type Environment, findPlatform, type PlatformFlags } from './platform/settings.ts';
import { createProgram } from './program.ts';
import { createTerminal, type OutputStream, painter } from './terminal/terminal.ts';
import { plain } from './terminal/text.ts';

/** A call of `morpheo`. */
export interface CliOptions {
  /** The arguments after the program's name. */
  readonly argv: readonly string[];
  readonly env: Environment;
  /** Results go here. */
  readonly stdout: OutputStream;
  /** Progress, hints and errors go here. */
  readonly stderr: OutputStream;
  /** Interrupts the command, as Ctrl-C does. */
  readonly signal?: AbortSignal | undefined;
}

/** Runs one command and resolves with its exit code; never throws. See `EXIT` for what the codes mean. */
export async function runCli(options: CliOptions): Promise<number> {
  using reader = watchReader(options.stdout);
  const signal = AbortSignal.any([reader.gone, ...(options.signal === undefined ? [] : [options.signal])]);
  try {
    return await runCommand(options, signal);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const cause = reader.gone.aborted ? reader.gone.reason : error;
    if (cause === NOBODY_READS) return EXIT.ok;
    if (options.signal?.aborted === true) return EXIT.interrupted;
    report(cause, options);
    return exitCodeOf(cause);
  }
}

async function runCommand({ argv, env, stdout, stderr }: CliOptions, signal: AbortSignal): Promise<number> {
  let exitCode: number = EXIT.ok;
  const runLocally: Runner<LocalContext> =
    (work) =>
    async (...args) => {
      const { json, ...flags } = program.opts<PlatformFlags & { json?: boolean }>();
      const terminal = createTerminal({ stdout, stderr, env, json: json === true, signal });
      exitCode = (await work({ terminal, env, flags, signal }, ...args)) ?? EXIT.ok;
    };
  const run: Runner = (work) =>
    runLocally(async (local, ...args) => {
      return await work(createContext(local, await findPlatform(local.flags, env)), ...args);
    });
  const program = createProgram({ run, runLocally, stdout, stderr, env });
  await program.parseAsync(argv, { from: 'user' });
  return exitCode;
}

/** An error in two lines: what was wrong and where, and what to do. */
function report(error: unknown, { stderr, env }: CliOptions): void {
  const paint = painter(stderr, env);
  stderr.write(`${paint('red', 'error')}: ${plain(messageOf(error)).replaceAll(/\s*\n\s*/g, ' ')}\n`);
  const hint = hintOf(error);
  if (hint !== undefined) stderr.write(`${paint('dim', plain(hint))}\n`);
  if ((env.MORPHEO_DEBUG ?? '') !== '' && error instanceof Error) stderr.write(`${error.stack ?? ''}\n`);
}

const NOBODY_READS = Symbol('nobody reads the output any more');

/** Notices that stdout takes nothing more. Where its reader went away (`| head`), nothing is wrong. */
function watchReader(stdout: OutputStream): { readonly gone: AbortSignal } & Disposable {
  const gone = new AbortController();
  const onError = (error: NodeJS.ErrnoException) => {
    const failed = new CliError(EXIT.failed, `stdout cannot be written: ${error.message}`, undefined, error);
    gone.abort(error.code === 'EPIPE' ? NOBODY_READS : failed);
  };
  stdout.on('error', onError);
  return { gone: gone.signal, [Symbol.dispose]: () => stdout.off('error', onError) };
}
