import { enableCompileCache } from 'node:module';

// What was compiled once is found at the next start, which then takes half the time.
enableCompileCache();
void main();

async function main(): Promise<void> {
  const { COMMANDS } = await import('./maintenance/config.ts');
  const command = COMMANDS.find((name) => name === process.argv[2]);
  if (command !== undefined) {
    const { runAsProcess } = await import('./maintenance/command.ts');
    const { runMaintenance } = await import('./maintenance/run.ts');
    const argv = process.argv.slice(3);
    return await runAsProcess(`storage-api ${command}`, argv, (given) => runMaintenance(command, given));
  }
  const { runService } = await import('@morpheo/service/lifecycle');
  const { start } = await import('./start.ts');
  await runService({
    name: 'storage-api',
    start: async () => await start(process.argv.slice(2), process.env),
  });
}
