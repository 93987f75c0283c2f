import { type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

/** Runs a program whose output is for the reader. Throws where it fails. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<void> {
  await call(command, args, 'inherit', options);
}

/** Runs a program and returns what it prints, without the last newline. Throws where it fails. */
export async function ask(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  return (await call(command, args, 'pipe', options)).trimEnd();
}

/** Whether a program is there and succeeds; what it prints is for nobody. */
export async function succeeds(command: string, args: readonly string[]): Promise<boolean> {
  return await call(command, args, 'ignore', {}).then(
    () => true,
    () => false,
  );
}

/** See {@link run}. */
export interface RunOptions {
  readonly cwd?: string;
  /** What the program's environment has beside ours. */
  readonly env?: Readonly<Record<string, string>>;
}

async function call(
  command: string,
  args: readonly string[],
  output: 'inherit' | 'pipe' | 'ignore',
  { cwd, env }: RunOptions,
): Promise<string> {
  const errors = output === 'ignore' ? 'ignore' : 'inherit';
  const stdio: StdioOptions = ['ignore', output, errors];
  const child = spawn(command, args, {
    stdio,
    ...(cwd && { cwd }),
    ...(env && { env: { ...process.env, ...env } }),
  });
  const closed = once(child, 'close');
  const printed = child.stdout === null ? '' : await text(child.stdout);
  const [code] = (await closed) as [number | null];
  if (code !== 0) throw new Error(`${[command, ...args].join(' ')} ended with exit code ${code}`);
  return printed;
}
