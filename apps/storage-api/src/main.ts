import { enableCompileCache } from 'node:module';

// What was compiled once is found at the next start, which then takes half the time.
enableCompileCache();
void main();

async function main(): Promise<void> {
  const { COMMANDS } = await import('./maintenance/commands.ts');
  const command = COMMANDS.find((name) => name === process.argv[2]);
  if (command !== undefined) {
    const { mainOfMaintenance } = await import('./maintenance/main.ts');
    return await mainOfMaintenance(command, process.argv.slice(3));
  }
  const { runService } = await import('@morpheo/service/lifecycle');
  const { start } = await import('./start.ts');
  await runService({
    name: 'storage-api',
    start: async () => await start(process.argv.slice(2), process.env),
  });
}
