import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Whether connections can be cut here: by root on Linux, with `ss` of iproute2 and a kernel that lets it. */
export async function whyNoCuts(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root may cut the connections of others';
  return await cutConnections(0).then(
    () => undefined,
    (error: unknown) =>
      `ss cannot cut connections: ${error instanceof Error ? error.message : String(error)}`,
  );
}

/** Ends every connection to a port of this machine: both sides find it reset. */
export async function cutConnections(port: number): Promise<void> {
  await run('ss', ['--kill', '--tcp', 'state', 'established', `( sport = :${port} )`]);
}
