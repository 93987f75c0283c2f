import { readFile } from 'node:fs/promises';
import { PlatformError } from '@morpheo/common';
import { type BucketCredentials, GOOGLE_OPTIONS, SSE_KINDS } from '@morpheo/service/buckets/options';
import { defineSettings, type SettingsOf } from '@morpheo/service/config';
import { type Follow, followPems } from '@morpheo/service/lifecycle';
import { z } from 'zod';
import type { BlobLocation } from '../blobs/index.ts';

const text = z.string().min(1);
const httpUrl = z
  .url({ protocol: /^https?$/ })
  .refine((url) => new URL(url).username === '', 'keys do not belong into an address')
  .transform((url) => url.replace(/\/+$/, ''));

/** The settings of a bucket; flags of the original keep their names, and keys the names of AWS's own tools. */
export const s3Settings = defineSettings({
  s3Bucket: {
    flag: 's3-bucket',
    env: 'MORPHEO_STORAGE_S3_BUCKET',
    schema: text.optional(),
    aliases: ['gc-bucket'],
    help: 'The bucket of the bytes.',
  },
  s3Region: {
    flag: 's3-region',
    env: 'MORPHEO_STORAGE_S3_REGION',
    schema: text.optional(),
    help: 'The region of the bucket; us-east-1 where absent, which servers of your own take.',
  },
  s3Endpoint: {
    flag: 's3-endpoint',
    env: 'MORPHEO_STORAGE_S3_ENDPOINT',
    schema: httpUrl.optional(),
    help: 'The address of the server, such as http://127.0.0.1:9000; that of AWS or Google where absent.',
  },
  s3PathStyle: {
    flag: 's3-path-style',
    env: 'MORPHEO_STORAGE_S3_PATH_STYLE',
    schema: z.stringbool().optional(),
    switch: true,
    help: "Name the bucket in the path and not in the host's name; so by default where there is an --s3-endpoint.",
  },
  s3Prefix: {
    flag: 's3-prefix',
    env: 'MORPHEO_STORAGE_S3_PREFIX',
    schema: text.optional(),
    help: 'What the names of all objects begin with, so that a bucket may hold other things as well.',
  },
  s3AccessKey: {
    flag: 's3-access-key',
    env: 'AWS_ACCESS_KEY_ID',
    schema: text.optional(),
    secret: true,
    help: "The access key; where absent, keys are looked for as AWS's own tools do (profile, role of the machine).",
  },
  s3SecretKey: {
    flag: 's3-secret-key',
    env: 'AWS_SECRET_ACCESS_KEY',
    schema: text.optional(),
    secret: true,
    help: 'The secret of --s3-access-key.',
  },
  s3SessionToken: {
    flag: 's3-session-token',
    env: 'AWS_SESSION_TOKEN',
    schema: text.optional(),
    secret: true,
    help: 'The token of temporary keys.',
  },
  s3Ca: {
    flag: 's3-ca',
    env: 'MORPHEO_STORAGE_S3_CA',
    schema: text.optional(),
    help: 'PEM file of an authority to trust besides the known ones.',
  },
  s3CreateBucket: {
    flag: 's3-create-bucket',
    env: 'MORPHEO_STORAGE_S3_CREATE_BUCKET',
    schema: z.stringbool(),
    default: false,
    switch: true,
    help: 'Make the bucket where it is not there.',
  },
  s3Checksums: {
    flag: 's3-checksums',
    env: 'MORPHEO_STORAGE_S3_CHECKSUMS',
    schema: z.enum(['when-supported', 'when-required']).optional(),
    help: 'when-required: for servers that do not know the checksums of S3, as Google; else when-supported.',
  },
  s3Sse: {
    flag: 's3-sse',
    env: 'MORPHEO_STORAGE_S3_SSE',
    schema: z.enum(SSE_KINDS).optional(),
    help: 'Ask for this encryption with each upload (x-amz-server-side-encryption), for buckets whose policy demands that.',
  },
  s3SseKey: {
    flag: 's3-sse-key',
    env: 'MORPHEO_STORAGE_S3_SSE_KEY',
    schema: text.optional(),
    help: 'The id or ARN of the key of --s3-sse aws:kms; that of the account where absent.',
  },
  s3Links: {
    flag: 's3-links',
    env: 'MORPHEO_STORAGE_S3_LINKS',
    schema: z.stringbool(),
    default: false,
    switch: true,
    help: 'Send downloads that ask for it (Prefer: redirect) to the bucket itself, by a signed address.',
  },
  s3LinkSeconds: {
    flag: 's3-link-seconds',
    env: 'MORPHEO_STORAGE_S3_LINK_SECONDS',
    schema: z.coerce.number().int().min(1).max(604_800),
    default: 300,
    help: 'How long a download may be begun by a signed address.',
  },
  s3PublicEndpoint: {
    flag: 's3-public-endpoint',
    env: 'MORPHEO_STORAGE_S3_PUBLIC_ENDPOINT',
    schema: httpUrl.optional(),
    help: 'The address of the server in links, where clients reach it by another than --s3-endpoint.',
  },
});

/** See {@link s3Settings}. */
export type S3Config = SettingsOf<typeof s3Settings>;

/** The kinds of stores; `gc` and `gcs` are Google's, by its interface of S3. */
export const BLOB_STORES = ['local', 's3', 'gc', 'gcs'] as const;

/** What contradicts in the settings of a bucket, and what to do: one sentence each. */
export function bucketContradictions(kind: (typeof BLOB_STORES)[number], config: S3Config): string[] {
  const { s3Bucket, s3AccessKey, s3SecretKey, s3SessionToken, s3Links, s3PublicEndpoint, s3Ca } = config;
  const { s3Endpoint, s3Sse, s3SseKey } = config;
  const inBucket = kind !== 'local';
  const problems: [boolean, string][] = [
    [inBucket && s3Bucket === undefined, `A store of kind ${kind} needs --s3-bucket.`],
    [
      !inBucket && (s3Bucket !== undefined || s3Endpoint !== undefined),
      '--s3-bucket or --s3-endpoint is given, but no store is in a bucket: say --blobstore s3, or leave them out.',
    ],
    [
      inBucket && (s3AccessKey === undefined) !== (s3SecretKey === undefined),
      '--s3-access-key and --s3-secret-key belong together: give both, or neither.',
    ],
    [
      inBucket && s3SessionToken !== undefined && s3AccessKey === undefined,
      '--s3-session-token belongs to --s3-access-key: give both, or leave it out.',
    ],
    [
      s3PublicEndpoint !== undefined && !s3Links,
      '--s3-public-endpoint is for links: say --s3-links as well, or leave it out.',
    ],
    [
      s3SseKey !== undefined && s3Sse !== 'aws:kms',
      '--s3-sse-key is the key of --s3-sse aws:kms: say that as well, or leave it out.',
    ],
    [
      s3Ca !== undefined && s3Endpoint?.startsWith('http:') === true,
      '--s3-ca is for https, and --s3-endpoint says http: correct one of them.',
    ],
  ];
  return problems.flatMap(([wrong, problem]) => (wrong ? problem : []));
}

/**
 * The location that the settings name, where `folder` is that of local blobs; reads the file of `--s3-ca`, which new
 * connections take as it is at the time where `follow` is given.
 */
export async function blobLocationOf(
  kind: (typeof BLOB_STORES)[number],
  config: S3Config,
  folder: string,
  follow?: Follow,
): Promise<BlobLocation> {
  if (kind === 'local' || config.s3Bucket === undefined) return { kind: 'local', folder };
  const google = kind !== 's3';
  const usual = google ? GOOGLE_OPTIONS : undefined;
  return {
    kind: 's3',
    options: {
      bucket: config.s3Bucket,
      region: config.s3Region ?? usual?.region,
      endpoint: config.s3Endpoint ?? usual?.endpoint,
      pathStyle: config.s3PathStyle,
      prefix: config.s3Prefix,
      credentials: keysOf(config),
      ca: config.s3Ca === undefined ? undefined : await authorityIn(config.s3Ca, follow),
      checksums: config.s3Checksums ?? usual?.checksums,
      partCopies: !google,
      encryption: config.s3Sse === undefined ? undefined : { kind: config.s3Sse, key: config.s3SseKey },
      createBucket: config.s3CreateBucket,
      links: config.s3Links
        ? { endpoint: config.s3PublicEndpoint, seconds: config.s3LinkSeconds }
        : undefined,
    },
  };
}

/** The keys as they are at the time; undefined where the settings name none. */
function keysOf({ s3AccessKey, s3SecretKey, s3SessionToken }: S3Config): BucketCredentials | undefined {
  if (s3AccessKey === undefined || s3SecretKey === undefined) return undefined;
  return {
    get accessKeyId() {
      return s3AccessKey.reveal();
    },
    secretAccessKey: s3SecretKey,
    sessionToken: s3SessionToken,
  };
}

async function authorityIn(file: string, follow: Follow | undefined): Promise<() => string> {
  const first = await readCa(file);
  if (follow === undefined) return () => first;
  const pems = await followPems('--s3-ca', { ca: file }, follow);
  return () => pems.ca;
}

async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PlatformError('invalid_request', `--s3-ca cannot be read: ${reason}.`, { cause });
  }
}
