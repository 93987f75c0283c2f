import * as z from 'zod';
import { sha256Hex } from '../digest.ts';
import { PlatformError } from '../errors.ts';

/** The kinds of things that storage keeps. */
export const RESOURCE_TYPES = ['problem', 'algo', 'model', 'data', 'prediction', 'output'] as const;

/** A kind of thing that storage keeps. */
export type ResourceType = (typeof RESOURCE_TYPES)[number];

/** What orders make: a model, a prediction, or the output of a job, which is the files that it wrote. */
export const RESULT_TYPES = ['model', 'prediction', 'output'] as const satisfies readonly ResourceType[];

/** See {@link RESULT_TYPES}. */
export type ResultType = (typeof RESULT_TYPES)[number];

/**
 * A thing that storage keeps: the originals' members by type, and ours: `size` in bytes and `sha256` of its blob, which
 * are told to those alone who may see them (of data and predictions: the owner and admins); and `failed`, true of the
 * output of a job that failed.
 */
export const resource = z.object({
  uuid: z.string(),
  /** Seconds since 1970. */
  timestamp_upload: z.int(),
  name: z.string().optional(),
  description: z.string().optional(),
  algo: z.string().optional(),
  size: z.int().optional(),
  sha256: sha256Hex.optional(),
  failed: z.literal(true).optional(),
});

/** See {@link resource}. */
export type Resource = z.infer<typeof resource>;

/** A {@link Resource} whose size and digest the caller may see. */
export type MeasuredResource = Resource & { readonly size: number; readonly sha256: string };

/** The same resource, with size and digest. Throws `forbidden` where they are hidden from the caller. */
export function measured(resource: Resource): MeasuredResource {
  const { size, sha256 } = resource;
  if (size !== undefined && sha256 !== undefined) return { ...resource, size, sha256 };
  throw new PlatformError(
    'forbidden',
    `The bytes of ${resource.uuid} are hidden: its owner and admins alone see them, and their size and digest.`,
  );
}

/** The kinds of bytes that the ledger tells apart: by type, and results that nobody published yet with checkpoints of orders. */
export const USAGE_KINDS = [...RESOURCE_TYPES, 'staged'] as const;

/** A kind of bytes of the ledger. */
export type UsageKind = (typeof USAGE_KINDS)[number];

/** What is used. `bytes` are as if each thing were kept by itself; `stored_bytes` are kept, each blob once. */
export const usage = z.object({
  owners: z.array(
    z.object({
      /** Empty for what was uploaded when nobody noted by whom. */
      owner: z.string(),
      bytes: z.int(),
      /** Of things that nothing on storage refers to. */
      freeable_bytes: z.int(),
      /** Resumable uploads that have not come to their end. */
      open_uploads: z.int().optional(),
      /** Announced by resumable uploads that have not come to their end: no part of `bytes`, but of what a quota counts. */
      reserved_bytes: z.int().optional(),
      /** The most bytes that the owner may have; any where absent. */
      quota: z.int().optional(),
      kinds: z.array(z.object({ kind: z.enum(USAGE_KINDS), count: z.int(), bytes: z.int() })),
    }),
  ),
  bytes: z.int(),
  blobs: z.int(),
  stored_bytes: z.int(),
  saved_bytes: z.int(),
});

/** See {@link usage}. */
export type Usage = z.infer<typeof usage>;
