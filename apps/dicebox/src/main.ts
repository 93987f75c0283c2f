import { enableCompileCache } from 'node:module';

// What was compiled once is found at the next start, which then takes half the time.
enableCompileCache();
void main();

async function main(): Promise<void> {
  const { runService } = await import('@morpheo/service/lifecycle');
  const { start } = await import('./start.ts');
  await runService({
    name: 'dicebox',
    start: async () => await start(process.argv.slice(2), process.env),
  });
}
