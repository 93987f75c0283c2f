import {
  ACTIONS,
  type Api,
  type Call,
  isAllowed,
  MOST_GRANTS,
  type PermissionsChange,
  type PermissionsView,
  PlatformError,
  type StorageContract,
} from '@morpheo/common';
import { requireResource } from '../http/resources.ts';
import { lockResource, noSuchResource } from '../metadata/resources.ts';
import type { ResourceRow, StorageTransaction } from '../metadata/schema.ts';
import type { StorageParts } from '../parts.ts';
import { canariesOf, disclosureOf } from '../pins/policy.ts';
import { requirePublic, sampleOf } from '../pins/samples.ts';
import { granteesOfAll, keyOf } from './grants.ts';
import type { Permissions } from './permissions.ts';
import type { Asker } from './relations.ts';
import { problemsOf } from './rights.ts';

type Routes = Pick<Api<StorageContract>, 'getPermissions' | 'setPermissions'>;

/** The routes by which owners say who may use what is theirs, and see what they have said. */
export function permissionHandlers(parts: StorageParts): Routes {
  const { database, permissions, log } = parts;
  const callerOf = async (call: Call | undefined) => await permissions.askerOf(database.read, call);
  return {
    getPermissions: async ({ params }, call) => {
      const row = await requireResource(parts, params, 'describe', call);
      return await viewOf(database.read, permissions, await callerOf(call), row);
    },
    setPermissions: async ({ params, body }, call) => {
      const { type, uuid } = await requireResource(parts, params, 'share', call);
      const caller = await callerOf(call);
      const view = await database.write(async (transaction) => {
        const row = await lockResource(transaction, type, uuid);
        if (row === undefined) throw noSuchResource(type, uuid);
        await permissions.require(transaction, caller, 'share', row);
        await changeGrants(transaction, row, body);
        const changed = await changeRow(transaction, row, body);
        return await viewOf(transaction, permissions, caller, changed);
      });
      const { canaries, ...said } = body;
      const kept = canaries === undefined ? {} : { canaries: canaries.length };
      log.info({ type, uuid, by: caller.person, ...said, ...kept }, 'who may use something was changed');
      return view;
    },
  };
}

async function viewOf(
  read: StorageTransaction,
  permissions: Permissions,
  caller: Asker,
  row: ResourceRow,
): Promise<PermissionsView> {
  const [relation = 'none'] = await permissions.relationsTo(read, caller, [row]);
  const actions = ACTIONS.filter((action) => isAllowed(row.type, action, relation));
  const granted = (await granteesOfAll(read, [row])).get(keyOf(row)) ?? [];
  const { type, uuid, owner, visibility, purpose } = row;
  return {
    ...{ type, uuid, owner, visibility },
    ...(type === 'data' ? { purpose, problems: problemsOf(row) } : {}),
    ...(type === 'problem' ? { disclosure: disclosureOf(row), sample: sampleOf(row) } : {}),
    ...(type === 'problem' && actions.includes('share') ? { canaries: canariesOf(row) } : {}),
    ...(actions.includes('share') ? { grants: [...granted].sort((a, b) => (a < b ? -1 : 1)) } : {}),
    yours: { relation, actions },
  };
}

async function changeRow(
  transaction: StorageTransaction,
  row: ResourceRow,
  change: PermissionsChange,
): Promise<ResourceRow> {
  const { type, uuid } = row;
  const { purpose = row.purpose, problems: given } = change;
  const visibility = change.visibility ?? row.visibility;
  const problems = given ?? (purpose === row.purpose ? problemsOf(row) : []);
  if (type !== 'data' && (purpose !== row.purpose || given !== undefined))
    throw new PlatformError(
      'invalid_request',
      `Only data has a purpose and problems, and this is a ${type}.`,
    );
  if ((purpose === 'test') !== problems.length > 0)
    throw new PlatformError(
      'invalid_request',
      'Data of the purpose test names the problems that it tests, one at least; no other names any.',
    );
  const rules = changedRules(row, change);
  if (change.sample !== undefined) await requirePublic(transaction, row, change.sample);
  return await transaction
    .updateTable('resources')
    .set({ visibility, purpose, problems: [...new Set(problems)].join(','), ...rules })
    .where('type', '=', type)
    .where('uuid', '=', uuid)
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** What a problem has for its orders, after a change. */
function changedRules(
  row: ResourceRow,
  { disclosure, canaries, sample }: PermissionsChange,
): Pick<ResourceRow, 'disclosure' | 'canaries' | 'sample'> {
  if (disclosure === undefined && canaries === undefined && sample === undefined)
    return { disclosure: row.disclosure, canaries: row.canaries, sample: row.sample };
  if (row.type !== 'problem')
    throw new PlatformError(
      'invalid_request',
      `Only a problem has a disclosure, canaries and a sample, and this is a ${row.type}.`,
    );
  const chosen = Object.entries(disclosure ?? {}).filter(([, choice]) => choice !== undefined);
  return {
    disclosure:
      disclosure === undefined
        ? row.disclosure
        : JSON.stringify({ ...disclosureOf(row), ...Object.fromEntries(chosen) }),
    sample: sample === undefined ? row.sample : JSON.stringify(sample),
    canaries: canaries === undefined ? row.canaries : canaries.length === 0 ? '' : JSON.stringify(canaries),
  };
}

async function changeGrants(
  transaction: StorageTransaction,
  { type, uuid }: ResourceRow,
  { grant = [], revoke = [] }: PermissionsChange,
): Promise<void> {
  const added = [...new Set(grant)].filter((one) => !revoke.includes(one));
  if (type !== 'data' && added.some((one) => one.startsWith('problem:')))
    throw new PlatformError('invalid_request', `Only data is granted to problems, and this is a ${type}.`);
  if (revoke.length > 0) {
    const taken = transaction.deleteFrom('grants').where('type', '=', type).where('uuid', '=', uuid);
    await taken.where('grantee', 'in', revoke).execute();
  }
  if (added.length === 0) return;
  await transaction
    .insertInto('grants')
    .values(added.map((grantee) => ({ type, uuid, grantee })))
    .onConflict((conflict) => conflict.columns(['type', 'uuid', 'grantee']).doNothing())
    .execute();
  const all = await transaction
    .selectFrom('grants')
    .select('grantee')
    .where('type', '=', type)
    .where('uuid', '=', uuid)
    .execute();
  if (all.length > MOST_GRANTS)
    throw new PlatformError(
      'invalid_request',
      `A ${type} has at most ${MOST_GRANTS} grants: grant it to a group, or open it.`,
    );
}
