import {
  CreateBucketCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketVersioningCommand,
  PutObjectLockConfigurationCommand,
} from '@aws-sdk/client-s3';
import { memoryLog } from '@morpheo/service/log';
import { bucketOptions, sharedMinio, minioTest as test } from '../../testing/minio.ts';
import { blobLocationWarning } from '../open.ts';
import { openS3BlobStore } from './store.ts';

const minio = sharedMinio();

/** A bucket, and what is said of it at the start. */
async function openBucket() {
  const server = await minio();
  const options = await bucketOptions(server);
  const { bucket: Bucket } = options;
  const warning = async () => {
    const log = memoryLog();
    using _store = await openS3BlobStore({ ...options, log });
    const [line, ...others] = log.entries.map(({ level, message }) => `${level} ${message}`);
    const checked = await blobLocationWarning({ kind: 's3', options }, AbortSignal.timeout(60_000));
    if (others.length > 0 || line !== (checked === undefined ? undefined : `warn ${checked}`)) {
      throw new Error(`--check says ${checked}, and the log ${line} ${others.join(' ')}`);
    }
    return checked;
  };
  return { Bucket, client: server.client, warning };
}

test('a bucket that keeps versions is warned of at the start and by --check, with what to do', async (t) => {
  const { Bucket, client, warning } = await openBucket();
  t.is(await warning(), undefined);
  const put = async (Status: 'Enabled' | 'Suspended') =>
    await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }));
  await put('Enabled');
  t.is(
    await warning(),
    `The bucket ${Bucket} has versions and keeps what is replaced or deleted, so most uploads are kept twice. Suspend its versioning, or add a lifecycle rule that expires noncurrent versions after a day.`,
  );
  await put('Suspended');
  t.is(await warning(), undefined);
});

test('versions that expire are no reason for a warning', async (t) => {
  const { Bucket, client, warning } = await openBucket();
  const VersioningConfiguration = { Status: 'Enabled' } as const;
  await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
  const rule = { ID: 'old', Status: 'Enabled', Filter: { Prefix: '' } } as const;
  const Rules = [{ ...rule, NoncurrentVersionExpiration: { NoncurrentDays: 1 } }];
  const LifecycleConfiguration = { Rules };
  await client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration }));
  t.is(await warning(), undefined);
});

test('a bucket that locks its objects is warned of', async (t) => {
  const server = await minio();
  const options = { ...(await bucketOptions(server)), bucket: `locked-${crypto.randomUUID()}` };
  const { bucket: Bucket } = options;
  await server.client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }));
  const warning = async () => await blobLocationWarning({ kind: 's3', options }, AbortSignal.timeout(60_000));
  t.regex((await warning()) ?? '', /has versions and keeps .*Use a bucket without Object Lock, or add/);
  const Rule = { DefaultRetention: { Mode: 'GOVERNANCE', Days: 1 } } as const;
  const ObjectLockConfiguration = { ObjectLockEnabled: 'Enabled', Rule } as const;
  await server.client.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration }));
  t.regex((await warning()) ?? '', /locks each object for a time .*without a default retention/);
});
