import type { Dind } from '../dind.ts';
import { output } from './docker.ts';

/** Docker's command line on the daemon of a test. */
export function inner(dind: Pick<Dind, 'socketPath'>, ...args: readonly string[]): Promise<string> {
  return output('docker', ['--host', `unix://${dind.socketPath}`, ...args]);
}
