import type { Log } from '@morpheo/service/log';
import type { BlobKeeper } from './blob-keeper.ts';
import type { BlobStore } from './blob-store/index.ts';
import type { DamageWatch } from './damage/damage-watch.ts';
import type { Allowances } from './ledger/allowances.ts';
import type { ResourceStore } from './resource-store.ts';
import type { StagedStore } from './staged-store.ts';
import type { StorageSettings } from './storage-settings.ts';

/** What the handlers of the API work with. */
export interface StorageParts {
  readonly blobs: BlobStore;
  readonly keeper: BlobKeeper;
  readonly resources: ResourceStore;
  readonly staged: StagedStore;
  readonly damage: DamageWatch;
  readonly allowances: Allowances;
  readonly settings: StorageSettings;
  readonly log: Log;
}
