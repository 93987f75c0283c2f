import type { ResourceType } from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';
import type { StorageTransaction } from '../metadata/schema.ts';
import { type Asker, granteesOf, isKnown, type PermissionRules } from './relations.ts';

/** A resource by its type and id. */
export interface Named {
  readonly type: ResourceType;
  readonly uuid: string;
}

/** To whom resources are granted: of each, by {@link keyOf}. */
export type GranteesByKey = ReadonlyMap<string, ReadonlySet<string>>;

/** So many ids are looked up at once: databases bound the parameters of a statement. */
const AT_ONCE = 10_000;

/** The key of a resource among others. */
export function keyOf({ type, uuid }: Named): string {
  return `${type}/${uuid}`;
}

/** The ids of resources, each once, in lists that are short enough for one statement. */
export function idsInTurn(named: readonly Named[]): string[][] {
  const ids = [...new Set(named.map(({ uuid }) => uuid))];
  return Array.from({ length: Math.ceil(ids.length / AT_ONCE) }, (_, n) =>
    ids.slice(n * AT_ONCE, (n + 1) * AT_ONCE),
  );
}

/** The types of resources: with them an id is found by the key of its table, which begins with the type. */
export function typesOf(named: readonly Named[]): ResourceType[] {
  return [...new Set(named.map(({ type }) => type))];
}

/** To whom these resources are granted; one that nobody has a grant of is absent. */
export async function granteesOfAll(
  read: StorageTransaction,
  named: readonly Named[],
): Promise<GranteesByKey> {
  const found = new Map<string, Set<string>>();
  for (const ids of idsInTurn(named)) {
    const ofThese = read.selectFrom('grants').selectAll().where('type', 'in', typesOf(named));
    for (const row of await ofThese.where('uuid', 'in', ids).execute()) {
      const key = keyOf(row);
      found.set(key, (found.get(key) ?? new Set()).add(row.grantee));
    }
  }
  return found;
}

/**
 * Which of these resources are granted to somebody, by {@link keyOf}: directly, by a group, or, of data, by a problem
 * that the person may use.
 */
export async function grantedAmong(
  read: StorageTransaction,
  named: readonly Named[],
  asker: Asker,
  rules: PermissionRules,
): Promise<ReadonlySet<string>> {
  const granted = new Set<string>();
  for (const ids of idsInTurn(named)) {
    const rows = await read
      .selectFrom('resources')
      .select(['type', 'uuid'])
      .where('type', 'in', typesOf(named))
      .where('uuid', 'in', ids)
      .where(isGranted(asker, rules))
      .execute();
    for (const row of rows) granted.add(keyOf(row));
  }
  return granted;
}

/**
 * The conditions under which a thing of a type is of use to somebody, of which no two hold of the same: it is owned, open,
 * or granted. Each is found by an index, however few such things there are.
 */
export function sharedBy(asker: Asker, rules: PermissionRules, type: ResourceType): RawBuilder<boolean>[] {
  const { person } = asker;
  const isOwn = isKnown(person) ? sql<boolean>`owner = ${person}` : undefined;
  const notOwn = isOwn === undefined ? sql`1 = 1` : sql`owner <> ${person}`;
  const open = opennesses(rules);
  return [
    ...(isOwn === undefined ? [] : [isOwn]),
    // Written out, for the index of these alone.
    ...open.map(
      (visibility) => sql<boolean>`visibility <> 'private' and visibility = ${visibility} and ${notOwn}`,
    ),
    sql<boolean>`uuid in (${grantedIds(asker, rules, type)}) and ${notOwn} and visibility not in (${sql.join(open)})`,
  ];
}

/** The ids of things of a type that are granted to somebody, by the indexes of grants. */
function grantedIds(asker: Asker, rules: PermissionRules, type: ResourceType): RawBuilder<unknown> {
  const mine = sql.join(granteesOf(asker));
  const directly = sql`select uuid from grants where type = ${type} and grantee in (${mine})`;
  if (type !== 'data') return directly;
  const { person } = asker;
  const able = [
    ...(isKnown(person)
      ? [sql`select uuid from resources where owner = ${person} and type = 'problem'`]
      : []),
    ...opennesses(rules).map(
      (visibility) =>
        sql`select uuid from resources where visibility <> 'private' and visibility = ${visibility} and type = 'problem'`,
    ),
    sql`select p.uuid from grants pg join resources p on p.type = 'problem' and p.uuid = pg.uuid
      where pg.type = 'problem' and pg.grantee in (${mine})`,
  ];
  return sql`${directly} union all select g.uuid from (${sql.join(able, sql` union `)}) as able
    join grants g on g.grantee = 'problem:' || able.uuid and g.type = 'data'`;
}

function opennesses({ legacy }: PermissionRules): string[] {
  return legacy === 'open' ? ['open', 'legacy'] : ['open'];
}

function isGranted(asker: Asker, rules: PermissionRules): RawBuilder<boolean> {
  const mine = sql.join(granteesOf(asker));
  return sql`(
    exists (select 1 from grants g
      where g.type = resources.type and g.uuid = resources.uuid and g.grantee in (${mine}))
    or (resources.type = 'data' and exists (select 1 from grants g
      join resources p on p.type = 'problem' and g.grantee = 'problem:' || p.uuid
      where g.type = 'data' and g.uuid = resources.uuid and (${ownedOrOpen('p', asker, rules)} or exists (
        select 1 from grants pg where pg.type = 'problem' and pg.uuid = p.uuid and pg.grantee in (${mine})))))
  )`;
}

function ownedOrOpen(table: string, { person }: Asker, rules: PermissionRules): RawBuilder<boolean> {
  const open = sql.join(opennesses(rules));
  const isOpen = sql`${sql.ref(`${table}.visibility`)} in (${open})`;
  return isKnown(person) ? sql`(${isOpen} or ${sql.ref(`${table}.owner`)} = ${person})` : sql`${isOpen}`;
}
