import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { answerError, startS3Proxy } from '@morpheo/service/buckets/testing';
import { refused } from '../../testing/expect.ts';
import { bucketOptions, sharedMinio, minioTest as test } from '../../testing/minio.ts';
import { inPieces } from '../conformance/index.ts';
import { putBlob } from '../index.ts';
import { openS3BlobStore } from './store.ts';

const minio = sharedMinio();
const MIB = 1024 ** 2;

for (const [kind, key] of [
  ['AES256', undefined],
  ['aws:kms', 'of-the-real-parts'],
] as const) {
  test(`each way of upload asks for ${kind}, which the policy of the bucket demands`, async (t) => {
    const server = await minio();
    const options = await bucketOptions(server);
    await using policy = await demandEncryption(server.endpoint);
    const demanded = { ...options, endpoint: policy.endpoint, encryption: { kind, key } };
    using store = await openS3BlobStore({ ...demanded, tuning: { partBytes: 5 * MIB, copyBytes: 5 * MIB } });
    using whole = await openS3BlobStore({ ...demanded, partCopies: false, tuning: { partBytes: 5 * MIB } });
    const [small, large, largest] = [randomBytes(1000), randomBytes(6 * MIB), randomBytes(6 * MIB)];
    for (const [under, bytes] of [
      [store, small],
      [store, large],
      [whole, largest],
    ] as const) {
      const { digest } = await putBlob(under, inPieces(bytes));
      t.true((await buffer(await under.get(digest))).equals(bytes));
      const object = { Bucket: options.bucket, Key: `sha256/${digest}` };
      t.is((await server.client.send(new HeadObjectCommand(object))).ServerSideEncryption, kind);
    }
    const keys = policy.asked.map((headers) => headers['x-amz-server-side-encryption-aws-kms-key-id']);
    t.deepEqual(new Set(keys), new Set([key]));
    t.true(policy.asked.some((headers) => 'x-amz-copy-source' in headers));
  });
}

test('a bucket whose policy demands encryption is told by the setting', async (t) => {
  const server = await minio();
  await using policy = await demandEncryption(server.endpoint);
  const options = { ...(await bucketOptions(server)), endpoint: policy.endpoint };
  await refused(t, openS3BlobStore(options), 'unavailable', /may not do this: .*give --s3-sse/);
});

/** Stands before a server as the policy of a bucket does that denies uploads without encryption. */
async function demandEncryption(server: string) {
  const asked: IncomingHttpHeaders[] = [];
  const proxy = await startS3Proxy(server, (given, response) => {
    if (!makesObject(given)) return;
    asked.push(given.headers);
    if (given.headers['x-amz-server-side-encryption'] === undefined)
      answerError(response, 403, 'AccessDenied');
  });
  const { endpoint } = proxy;
  return { asked, endpoint, [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() };
}

/** PutObject, CopyObject and CreateMultipartUpload; of an upload in parts, the parts have no encryption of their own. */
function makesObject({ method, url = '' }: IncomingMessage): boolean {
  return (method === 'PUT' && !url.includes('partNumber')) || (method === 'POST' && url.includes('?uploads'));
}
