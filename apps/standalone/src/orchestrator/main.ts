import { runService } from '@morpheo/service/lifecycle';
import { start } from './start.ts';

await runService({
  name: 'orchestrator',
  start: async () => await start(process.argv.slice(2), process.env),
});
