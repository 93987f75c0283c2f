import { createLog } from '@morpheo/service/log';
import { startPlatform } from '@morpheo/standalone';
import { serve } from '../process/serve.ts';

// The whole platform in one process, on the process runtime. The arguments are its folder, in which it tells where it is,
// how many jobs it runs at once, and the folder of the picture trainer where it has a worker for that.
await serve(async ([folder = '', jobs = '1', trainer]) => {
  const log = createLog({ service: 'platform', level: 'error', destination: process.stderr });
  const platform = await startPlatform({
    folder,
    log,
    slots: { learn: 1, predict: 1, job: Number(jobs) },
    trainer,
  });
  return {
    url: platform.connection.compute,
    [Symbol.asyncDispose]: async () => await platform[Symbol.asyncDispose](),
  };
});
