#!/usr/bin/env node
import { enableCompileCache } from 'node:module';

// What was compiled once is found at the next start, which then takes half the time.
enableCompileCache();
void main();

async function main(): Promise<void> {
  const { runCli } = await import('./run-cli.ts');
  const { argv, env, stdout, stderr } = process;
  const interrupted = new AbortController();

  function interrupt(): void {
    // The second time, nobody waits for anything any more.
    if (interrupted.signal.aborted) process.exit(130);
    interrupted.abort();
  }

  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, interrupt);
  // A reader of the output that goes away is noticed by the command; what is written after it must not end the process.
  for (const stream of [stdout, stderr]) stream.on('error', () => {});

  process.exitCode = await runCli({ argv: argv.slice(2), env, stdout, stderr, signal: interrupted.signal });
}
