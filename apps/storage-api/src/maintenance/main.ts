import { isPlatformError } from '@morpheo/common';
import type { MaintenanceCommand } from './commands.ts';
import { runMaintenance } from './run.ts';

/** Runs a command as a process does: SIGINT and SIGTERM end it, 2 is its exit code where its settings are wrong. */
export async function mainOfMaintenance(command: MaintenanceCommand, argv: readonly string[]): Promise<void> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort(new Error('stopped by SIGINT')));
  process.once('SIGTERM', () => stop.abort(new Error('stopped by SIGTERM')));
  try {
    const { env, stdout: output } = process;
    process.exitCode = await runMaintenance(command, { argv, env, output, signal: stop.signal });
  } catch (error) {
    process.exitCode = isPlatformError(error, 'invalid_request') ? 2 : 1;
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`storage-api ${command} ended: ${reason}\n`);
  }
}
