import type { Log } from '@morpheo/service/log';
import type { BlobStore } from './blobs/index.ts';
import type { BlobKeeper } from './blobs/keeper.ts';
import type { StorageSettings } from './config/settings.ts';
import type { DamageWatch } from './integrity/damage.ts';
import type { StorageDatabase } from './metadata/schema.ts';
import type { PeopleRights } from './people/rights.ts';
import type { Permissions } from './permissions/permissions.ts';
import type { Budgets } from './quotas/budgets.ts';

/** What the handlers of the API work with; each takes of it what it uses. */
export interface StorageParts {
  readonly database: StorageDatabase;
  /** For reading bytes; what is stored goes through the keeper. */
  readonly blobs: BlobStore;
  readonly keeper: BlobKeeper;
  readonly damage: DamageWatch;
  readonly budgets: Budgets;
  readonly people: PeopleRights;
  readonly permissions: Permissions;
  readonly settings: StorageSettings;
  /** What orders show is limited for nobody: the operator says so, or nobody is asked for credentials. */
  readonly outputsOpen: boolean;
  readonly log: Log;
}
