import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const MOST_OUTPUT = 16 * 1024 * 1024;

/** Runs a program to its end and returns what it printed on stdout, trimmed; throws with its stderr. */
export async function output(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await execute(command, args, { maxBuffer: MOST_OUTPUT });
  return stdout.trim();
}

/** Docker's own command line on the host's daemon. */
export function docker(...args: readonly string[]): Promise<string> {
  return output('docker', args);
}

/** Docker's command line on the daemon of a test. */
export function inner(dind: { readonly socketPath: string }, ...args: readonly string[]): Promise<string> {
  return output('docker', ['--host', `unix://${dind.socketPath}`, ...args]);
}

/** Removes what may be gone already. */
export async function dockerIfThere(...args: readonly string[]): Promise<void> {
  await docker(...args).catch(() => undefined);
}

/** Copies images from the host's daemon into the one behind the socket; layers that they share travel once. */
export async function copyImages(tags: readonly string[], socketPath: string): Promise<void> {
  const save = spawn('docker', ['save', ...tags], { stdio: ['ignore', 'pipe', 'inherit'] });
  const load = spawn('docker', ['--host', `unix://${socketPath}`, 'load', '--quiet'], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const [[saved], [loaded]] = await Promise.all([
    once(save, 'exit'),
    once(load, 'exit'),
    pipeline(save.stdout, load.stdin),
  ]);
  if (saved !== 0 || loaded !== 0) throw new Error(`The images ${tags.join(', ')} could not be copied.`);
}

/** A call of the Engine's API behind a socket; returns its JSON, or undefined where it answers with none. */
export async function engine(socketPath: string, method: string, path: string): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
  const call = request({ socketPath, method, path, agent: false, timeout: 60_000 }, (response) => {
    text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
  });
  call.on('error', reject);
  call.on('timeout', () => call.destroy(new Error(`${method} ${path} was not answered within 60 seconds`)));
  call.end();
  const { status, body } = await promise;
  if (status >= 400) throw new Error(`${method} ${path}: ${status} ${body.trim()}`);
  return body.startsWith('{') || body.startsWith('[') ? JSON.parse(body) : undefined;
}
