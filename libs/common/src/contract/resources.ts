import { z } from 'zod';
import { sha256Hex } from '../digest.ts';

/** The kinds of things that storage keeps. */
export const RESOURCE_TYPES = ['problem', 'algo', 'model', 'data', 'prediction'] as const;

/** A kind of thing that storage keeps. */
export type ResourceType = (typeof RESOURCE_TYPES)[number];

/** A thing that storage keeps: the originals' members by type, and ours: `size` in bytes and `sha256` of its blob. */
export const resource = z.object({
  uuid: z.string(),
  /** Seconds since 1970. */
  timestamp_upload: z.int(),
  name: z.string().optional(),
  description: z.string().optional(),
  algo: z.string().optional(),
  size: z.int(),
  sha256: sha256Hex,
});

/** See {@link resource}. */
export type Resource = z.infer<typeof resource>;
