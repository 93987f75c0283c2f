import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { type Calls, clientConfig } from './calls.ts';
import type { BucketOptions, LinkOptions } from './options.ts';

/** What a download by a link tells of itself. */
export interface LinkedFile {
  /** Letters, digits and dashes. */
  readonly fileName: string;
  readonly contentType: string;
}

/** Makes the function that signs addresses of objects, as those see them who download. Nothing is sent for it. */
export function linkSigner(
  calls: Calls,
  options: BucketOptions,
  { endpoint, seconds }: LinkOptions,
): (key: string, file: LinkedFile) => Promise<string> {
  const seen = endpoint === undefined ? options : { ...options, endpoint };
  const client = new S3Client(clientConfig(seen, calls.tuning));
  return async (key, { fileName, contentType }) => {
    const command = new GetObjectCommand({
      Bucket: calls.bucket,
      Key: key,
      ResponseContentType: contentType,
      ResponseContentDisposition: `attachment; filename="${fileName}"`,
      ResponseCacheControl: 'private, no-cache',
    });
    const signingDate = new Date(Date.now() + calls.clockAheadMs());
    return await getSignedUrl(client, command, { expiresIn: seconds, signingDate });
  };
}
