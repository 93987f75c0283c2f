import { enableCompileCache } from 'node:module';

// What was compiled once is found at the next start, which then takes half the time.
enableCompileCache();
const { runService } = await import('@morpheo/service/lifecycle');
const { start } = await import('./start.ts');

// Whoever started the platform over a channel may be killed: nobody would stop it then.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();

await runService({
  name: 'standalone',
  start: async () => await start(process.argv.slice(2), process.env),
});
