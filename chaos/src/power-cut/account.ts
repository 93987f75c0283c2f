import { computeClient, storageClient } from '@morpheo/client';
import type { Connection } from '@morpheo/standalone';

/** A resumable upload that has begun and is not known to have ended. */
export interface Unfinished {
  /** The id that storage gave the upload. */
  readonly upload: string;
  readonly bytes: Uint8Array;
  /** How many bytes storage has said that it has. */
  acknowledged: number;
}

/** What was sent and what was acknowledged, over all cuts. */
export class Account {
  /** Orders that were answered with 202. */
  readonly orders = new Set<string>();
  /** The SHA-256 of each data set that was sent, by its id. */
  readonly sent = new Map<string, string>();
  /** Those that were answered with 201. */
  readonly stored = new Set<string>();
  /** The resumable uploads of data that have begun, by the id of the data. */
  readonly unfinished = new Map<string, Unfinished>();
  /** How many of them were cut, and came to their end later. */
  resumed = 0;
}

/** The two APIs that a witness talks to. */
export function apisOf({
  storage,
  compute,
  credentials,
}: Pick<Connection, 'storage' | 'compute' | 'credentials'>) {
  return {
    storage: storageClient({ url: storage, credentials }),
    compute: computeClient({ url: compute, credentials }),
  };
}

/** See {@link apisOf}. */
export type Apis = ReturnType<typeof apisOf>;
