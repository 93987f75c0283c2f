import { createLog } from '@morpheo/service/log';
import { openStorageService } from '@morpheo/storage-api';
import { serve } from '../process/serve.ts';

// storage-api on a folder, which is the one argument.
await serve(async ([dataFolder = '']) => {
  return await openStorageService({
    host: '127.0.0.1',
    port: 0,
    dataFolder,
    authenticate: null,
    version: '0',
    log: createLog({ service: 'storage-api', level: 'warn' }),
  });
});
