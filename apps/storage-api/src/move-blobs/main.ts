import { isPlatformError } from '@morpheo/common';
import { runMove } from './run.ts';

void main();

async function main(): Promise<void> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort(new Error('stopped by SIGINT')));
  process.once('SIGTERM', () => stop.abort(new Error('stopped by SIGTERM')));
  try {
    process.exitCode = await runMove({
      argv: process.argv.slice(2),
      env: process.env,
      output: process.stdout,
      signal: stop.signal,
    });
  } catch (error) {
    process.exitCode = isPlatformError(error, 'invalid_request') ? 2 : 1;
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`move-blobs ended: ${reason}\nCalled again, it goes on with what is left.\n`);
  }
}
