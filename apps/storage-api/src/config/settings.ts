import type { Purpose, Visibility } from '@morpheo/common';
import type { PermissionRules } from '../permissions/relations.ts';

/** What the operator decides about a storage service. */
export interface StorageSettings extends PermissionRules {
  /** The most bytes that a blob may have. */
  readonly maxUploadBytes: number;
  /** The most bytes that a checkpoint of an order may have. */
  readonly maxCheckpointBytes: number;
  /** How long after a checkpoint of an order the next one is taken, in milliseconds. */
  readonly checkpointEveryMs: number;
  /** Compare the `size` of a form with the bytes that come, as the originals never did; a digest always asks for it. */
  readonly strictSize: boolean;
  /** How long a blob that nobody refers to is left alone, in milliseconds: longer than any upload takes to be recorded. */
  readonly orphanGraceMs: number;
  /** How long a result that nobody publishes or discards is kept, in milliseconds. */
  readonly stagedMaxAgeMs: number;
  /** The most bytes that an owner may have who has no quota of its own; any where absent. */
  readonly quota?: number | undefined;
  /** The most bytes of single owners, by name. */
  readonly quotas?: Readonly<Record<string, number>> | undefined;
  /** How long after a scrub the next one begins, in milliseconds; null: never. */
  readonly scrubEveryMs: number | null;
  /** How many bytes a scrub reads in a second. */
  readonly scrubRate: number;
  /** Of how many owners, those that have most, metrics tell the bytes by name. */
  readonly ownerMetrics: number;
  /** How long a resumable upload to which nothing more comes is kept, in milliseconds. */
  readonly uploadExpiryMs: number;
  /** How many resumable uploads one owner may have under way; 0: any number. */
  readonly openUploads: number;
  /** How many bytes these may have announced together; 0: any, and ten times `maxUploadBytes` where absent. */
  readonly openUploadBytes?: number | undefined;
  /** Who may use what is uploaded without a word on it, and the results of orders. */
  readonly defaultVisibility: Exclude<Visibility, 'legacy'>;
  /** For what a data set may be used that is uploaded without a word on it. */
  readonly defaultPurpose: Exclude<Purpose, 'test'>;
  /** Whether what orders show of data is limited to who may read it, or open to everybody. */
  readonly outputs: 'limited' | 'open';
}

const HOUR_MS = 3_600_000;

/** What holds where the operator says nothing. */
export const DEFAULT_SETTINGS: StorageSettings = {
  maxUploadBytes: 16 * 1024 ** 3,
  maxCheckpointBytes: 4 * 1024 ** 3,
  checkpointEveryMs: 1000,
  strictSize: false,
  orphanGraceMs: HOUR_MS,
  stagedMaxAgeMs: 7 * 24 * HOUR_MS,
  scrubEveryMs: 7 * 24 * HOUR_MS,
  scrubRate: 20 * 1024 ** 2,
  ownerMetrics: 0,
  uploadExpiryMs: 24 * HOUR_MS,
  openUploads: 100,
  defaultVisibility: 'private',
  defaultPurpose: 'open',
  legacy: 'open',
  anonymousGrants: 'open',
  outputs: 'limited',
};
