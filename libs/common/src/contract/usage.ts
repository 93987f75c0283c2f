import * as z from 'zod';
import { RESOURCE_TYPES } from './resources.ts';

/** The kinds of bytes that the ledger tells apart: by type, and results that nobody published yet. */
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
