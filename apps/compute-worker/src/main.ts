import { enableCompileCache } from 'node:module';

const A_DAY_MS = 86_400_000;

// What was compiled once is found at the next start, which then takes half the time.
enableCompileCache();
void main();

async function main(): Promise<void> {
  const { runService } = await import('@morpheo/service/lifecycle');
  const { start } = await import('./start.ts');
  await runService({
    name: 'compute-worker',
    start: async () => await start(process.argv.slice(2), process.env),
    // The worker bounds by itself how long it drains, as --grace says.
    drainMs: A_DAY_MS,
  });
}
