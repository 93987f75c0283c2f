import { runService } from '@morpheo/service/lifecycle';
import { start } from './start.ts';

const A_DAY_MS = 86_400_000;

await runService({
  name: 'compute-worker',
  start: async () => await start(process.argv.slice(2), process.env),
  // The worker bounds by itself how long it drains, as --grace says.
  drainMs: A_DAY_MS,
});
