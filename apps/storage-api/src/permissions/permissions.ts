import {
  type Action,
  ANONYMOUS,
  type Call,
  isAllowed,
  PlatformError,
  type Relation,
  type Resource,
} from '@morpheo/common';
import { noSuchResource, toResource } from '../metadata/resources.ts';
import type { ResourceRow, StorageTransaction } from '../metadata/schema.ts';
import { grantedAmong, keyOf } from './grants.ts';
import { type Asker, type PermissionRules, relationTo } from './relations.ts';

/** The groups that a person is in, by name. */
export type GroupsOf = (read: StorageTransaction, person: string) => Promise<readonly string[]>;

/** Decides for every route of storage-api who may do what, by the table of permissions. */
export interface Permissions {
  /** Who calls. Calls within this process are as an admin's. */
  askerOf(read: StorageTransaction, call: Call | undefined): Promise<Asker>;
  /** What the caller is to each of these resources, in their order. */
  relationsTo(
    read: StorageTransaction,
    caller: Asker,
    rows: readonly ResourceRow[],
  ): Promise<readonly Relation[]>;
  /**
   * Throws where the table does not allow the action: `not_found`, as if there were no such resource, for who may not
   * even see it; else `forbidden`.
   */
  require(read: StorageTransaction, caller: Asker, action: Action, row: ResourceRow): Promise<void>;
  /** These resources as the caller may see them: with size and digest, or without. */
  shown(read: StorageTransaction, caller: Asker, rows: readonly ResourceRow[]): Promise<Resource[]>;
}

/** Makes the {@link Permissions}. */
export function createPermissions(rules: PermissionRules, groupsOf: GroupsOf): Permissions {
  const relationsTo: Permissions['relationsTo'] = async (read, caller, rows) => {
    const others = rows.filter((row) => ['open', 'none'].includes(relationTo(row, false, caller, rules)));
    const granted = await grantedAmong(read, others, caller, rules);
    return rows.map((row) => relationTo(row, granted.has(keyOf(row)), caller, rules));
  };
  return {
    relationsTo,
    askerOf: async (read, call) => {
      const { name = '', roles = ['admin'] as const } = call?.principal ?? {};
      const admin = roles.includes('admin');
      const groups = admin ? [] : await groupsOf(read, name);
      return { person: name, admin, groups };
    },
    require: async (read, caller, action, row) => {
      const [relation = 'none'] = await relationsTo(read, caller, [row]);
      if (isAllowed(row.type, action, relation)) return;
      if (!isAllowed(row.type, 'describe', relation)) throw noSuchResource(row.type, row.uuid);
      throw forbidden(action, row, caller);
    },
    shown: async (read, caller, rows) => {
      const relations = await relationsTo(read, caller, rows);
      return rows.map((row, n) => {
        const { size, sha256, ...described } = toResource(row);
        return isAllowed(row.type, 'measure', relations[n] ?? 'none')
          ? { ...described, size, sha256 }
          : described;
      });
    },
  };
}

const VERBS: Readonly<Record<Action, string>> = {
  describe: 'see',
  measure: 'see the digest of',
  read: 'read the bytes of',
  use: 'use',
  change: 'change or delete',
  share: 'share',
};

function forbidden(action: Action, { type, uuid, owner }: ResourceRow, { person }: Asker): PlatformError {
  const by = owner === '' || owner === ANONYMOUS ? 'admins' : `${owner}, whose it is, and admins`;
  return new PlatformError(
    'forbidden',
    `${person} may not ${VERBS[action]} the ${type} ${uuid}: that is for ${by} alone.`,
  );
}
