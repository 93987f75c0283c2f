import { createLog } from '@morpheo/service/log';
import { startPlatform } from '@morpheo/standalone';
import { serve } from '../process/serve.ts';

// The whole platform in one process, on the process runtime. The arguments are its folder, in which it tells where it is, and
// how many jobs it runs at once.
await serve(async ([folder = '', jobs = '1']) => {
  const log = createLog({ service: 'platform', level: 'error', destination: process.stderr });
  const platform = await startPlatform({ folder, log, slots: { learn: 1, predict: 1, job: Number(jobs) } });
  return {
    url: platform.connection.compute,
    [Symbol.asyncDispose]: async () => await platform[Symbol.asyncDispose](),
  };
});
