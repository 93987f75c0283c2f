import type { S3Client } from '@aws-sdk/client-s3';

/**
 * Has a client sign calls by the checksum that goes along, where one does, so that it does not digest every byte a second
 * time: by a SHA-256 itself; by any other as unsigned bytes (AWS Signature Version 4), which the server compares with the
 * checksum, which is signed.
 */
export function signByChecksums(client: S3Client): S3Client {
  client.middlewareStack.add(
    (next) => async (args) => {
      const headers = headersOf(args.request);
      const sum = headers['x-amz-checksum-sha256'];
      if (sum !== undefined) headers[PAYLOAD] = Buffer.from(sum, 'base64').toString('hex');
      else if (headers['x-amz-checksum-crc32'] !== undefined) headers[PAYLOAD] = 'UNSIGNED-PAYLOAD';
      return await next(args);
    },
    // Behind what adds checksums.
    { step: 'build', priority: 'low', name: 'signByChecksums' },
  );
  return client;
}

const PAYLOAD = 'x-amz-content-sha256';

function headersOf(request: unknown): Record<string, string | undefined> {
  const has = (some: unknown): some is { readonly headers: Record<string, string | undefined> } =>
    typeof some === 'object' && some !== null && 'headers' in some;
  return has(request) ? request.headers : {};
}
