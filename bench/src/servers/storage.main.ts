import { Secret } from '@morpheo/service/config';
import { createLog } from '@morpheo/service/log';
import { openStorageService } from '@morpheo/storage-api';
import { serve } from '../process/serve.ts';

// storage-api: the first argument is its folder. With four more, the endpoint, the bucket and the two keys, its blobs
// are in that bucket.
await serve(async ([dataFolder = '', endpoint, bucket = '', accessKeyId = '', secret = '']) => {
  const credentials = { accessKeyId, secretAccessKey: new Secret(secret) };
  return await openStorageService({
    host: '127.0.0.1',
    port: 0,
    dataFolder,
    blobs: endpoint === undefined ? undefined : { kind: 's3', options: { endpoint, bucket, credentials } },
    callers: null,
    version: '0',
    log: createLog({ service: 'storage-api', level: 'warn' }),
  });
});
