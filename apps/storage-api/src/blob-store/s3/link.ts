import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { BlobLink } from '../blob-store.ts';
import { type Calls, clientConfig } from './calls.ts';
import type { Keys } from './keys.ts';
import type { S3BlobStoreOptions, S3LinkOptions } from './options.ts';

/** Makes the function that signs addresses of blobs, as those see them who download. Nothing is sent for it. */
export function linkMaker(
  calls: Calls,
  keys: Keys,
  options: S3BlobStoreOptions,
  { endpoint, seconds }: S3LinkOptions,
): (digest: string, link: BlobLink) => Promise<string> {
  const seen = endpoint === undefined ? options : { ...options, endpoint };
  const client = new S3Client(clientConfig(seen, calls.tuning));
  return async (digest, { fileName, contentType }) => {
    const command = new GetObjectCommand({
      Bucket: calls.bucket,
      Key: keys.blob(digest),
      ResponseContentType: contentType,
      ResponseContentDisposition: `attachment; filename="${fileName}"`,
      ResponseCacheControl: 'private, no-cache',
    });
    const signingDate = new Date(Date.now() + calls.clockAheadMs());
    return await getSignedUrl(client, command, { expiresIn: seconds, signingDate });
  };
}
