import { createLog } from '@morpheo/service/log';
import { startPlatform } from '@morpheo/standalone';
import { serve } from '../process/serve.ts';

// The whole platform in one process, on the process runtime; the argument is its folder, in which it tells where it is.
await serve(async ([folder = '']) => {
  const log = createLog({ service: 'platform', level: 'error', destination: process.stderr });
  const platform = await startPlatform({ folder, log });
  return {
    url: platform.connection.compute,
    [Symbol.asyncDispose]: async () => await platform[Symbol.asyncDispose](),
  };
});
