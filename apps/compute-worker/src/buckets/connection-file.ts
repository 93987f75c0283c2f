import { SSE_KINDS } from '@morpheo/service/buckets/options';
import { defineSettings } from '@morpheo/service/config';
import { z } from 'zod';
import { folderOf, prefixProblem } from './places.ts';

const text = z.string().min(1);

/** The settings of the buckets that jobs read from and write to. */
export const bucketSettings = defineSettings({
  buckets: {
    flag: 'buckets',
    env: 'MORPHEO_WORKER_BUCKETS',
    schema: text.optional(),
    help: 'JSON file of the buckets that jobs may name, with the owners who may read and write; none where absent.',
  },
});

const endpoint = z
  .url({ protocol: /^https?$/ })
  .refine((url) => new URL(url).username === '', 'keys do not belong into an address')
  .transform((url) => url.replace(/\/+$/, ''));

/** Names of owners, or everybody. */
const owners = z.union([z.literal('*'), z.array(text)]).default([]);

const connection = z
  .strictObject({
    /** Google's buckets answer to the requests of S3, too. */
    kind: z.enum(['s3', 'gcs']).default('s3'),
    bucket: text,
    endpoint: endpoint.optional(),
    region: text.optional(),
    /** What the prefixes of jobs lie below. */
    prefix: z
      .string()
      .superRefine((given, context) => {
        const problem = prefixProblem(given);
        if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
      })
      .transform(folderOf)
      .default(''),
    path_style: z.boolean().optional(),
    checksums: z.enum(['when-supported', 'when-required']).optional(),
    sse: z.enum(SSE_KINDS).optional(),
    sse_key: text.optional(),
    /** Paths of files. */
    credentials: text.optional(),
    ca: text.optional(),
    read: owners,
    write: owners,
  })
  .refine(
    ({ sse, sse_key }) => sse_key === undefined || sse === 'aws:kms',
    'sse_key is the key of sse aws:kms',
  );

/** One bucket as the file says it. */
export type Connection = z.infer<typeof connection>;

/** What an order wants of a bucket. */
export type Use = 'read' | 'write';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** The file of `--buckets`: connections by their names. */
export const connectionFile = z.record(
  z.string().regex(NAME, 'a name has letters, digits, dots, hyphens and underscores, 63 at the most'),
  connection,
);

/** The file of a connection's keys. */
export const keyFile = z.strictObject({
  access_key: text,
  secret_key: text,
  session_token: text.optional(),
});
