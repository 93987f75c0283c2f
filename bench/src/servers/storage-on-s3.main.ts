import { Secret } from '@morpheo/service/config';
import { createLog } from '@morpheo/service/log';
import { openStorageService } from '@morpheo/storage-api';
import { serve } from '../process/serve.ts';

// storage-api with its blobs in a bucket: the arguments are its folder, the endpoint, the bucket, and the two keys.
await serve(async ([dataFolder = '', endpoint = '', bucket = '', accessKeyId = '', secret = '']) => {
  const credentials = { accessKeyId, secretAccessKey: new Secret(secret) };
  return await openStorageService({
    host: '127.0.0.1',
    port: 0,
    dataFolder,
    blobs: { kind: 's3', options: { endpoint, bucket, credentials } },
    authenticate: null,
    version: '0',
    log: createLog({ service: 'storage-api', level: 'warn' }),
  });
});
