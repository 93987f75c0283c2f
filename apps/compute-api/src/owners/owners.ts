import {
  ANONYMOUS,
  type Call,
  GROUP_PERMISSIONS,
  type GroupAction,
  type OrderKind,
  type OwnerView,
  PAGE,
  PlatformError,
  type Relation,
  type Role,
} from '@morpheo/common';
import { type RawBuilder, sql } from 'kysely';
import type { ComputeDatabase } from '../db/database.ts';

/** The owner as it is kept: empty for orders that came without credentials. */
export function keptOwner(name: string): string {
  return name === ANONYMOUS ? '' : name;
}

/** The owner as people see it. */
export function shownOwner(owner: string): string {
  return owner === '' ? ANONYMOUS : owner;
}

/**
 * Whose order it is, on whose share and by whose rights it is run, as it is kept: who calls, unless the order names
 * another. Throws `forbidden` where a caller names another that is no admin, and no orchestrator of the credentials file.
 * People with the role orchestrator order for themselves: else they would have the rights of everybody.
 */
export function ownerOf(named: string | undefined, principal: Call['principal']): string {
  const caller = keptOwner(principal?.name ?? ANONYMOUS);
  if (named === undefined || keptOwner(named) === caller) return caller;
  if (speaksForOthers(principal)) return keptOwner(named);
  throw new PlatformError(
    'forbidden',
    `${shownOwner(caller)} may not order for ${named}: that is for admins, and for orchestrators of the credentials file. Leave out the owner.`,
  );
}

/**
 * Throws `forbidden` where a person would end or repeat an order of somebody else: how often and when an order runs may
 * tell of its data. `owner` as it is kept.
 */
export function checkOrderOwner(owner: string, principal: Call['principal']): void {
  if (principal?.isPerson !== true || keptOwner(principal.name) === owner || speaksForOthers(principal))
    return;
  throw new PlatformError(
    'forbidden',
    `This is an order of ${shownOwner(owner)}: its owner and admins may cancel it or try it again, and you are ${principal.name}.`,
  );
}

/**
 * Throws `forbidden` where a person who is no admin would set what orders of a problem ask for: whose problem it is, is not
 * known here, and who asks for more GPUs than there are stops its orders.
 */
export function checkSetsDefaults(principal: Call['principal']): void {
  if (principal?.isPerson !== true || speaksForOthers(principal)) return;
  throw new PlatformError(
    'forbidden',
    `${principal.name} may not set the defaults of a problem: that is for admins, and for orchestrators of the credentials file. Ask an admin, or say in each order how many GPUs it needs.`,
  );
}

/** Whether somebody may do this with the groups of an owner, who is named as it is kept: see {@link GROUP_PERMISSIONS}. */
export function mayWithGroups(
  action: GroupAction,
  owner: string,
  { name, forOthers }: { readonly name: string; readonly forOthers: boolean },
): boolean {
  const own: Relation = keptOwner(name) === owner ? 'owner' : 'none';
  return GROUP_PERMISSIONS[action].includes(forOthers ? 'admin' : own);
}

/** Who may order in the name of others: admins, and orchestrators of the credentials file. */
export function speaksForOthers(principal: Call['principal']): boolean {
  const speaks = (role: Role) =>
    role === 'admin' || (role === 'orchestrator' && principal?.isPerson !== true);
  return principal?.roles.some(speaks) ?? false;
}

/** An owner's weight: 1 until it is set. */
export async function weightOf({ read }: ComputeDatabase, owner: string): Promise<number> {
  const row = await read
    .selectFrom('owners')
    .select('weight')
    .where('owner', '=', keptOwner(owner))
    .executeTakeFirst();
  return row?.weight ?? 1;
}

/** Sets what {@link weightOf} reads. */
export async function setWeight(database: ComputeDatabase, owner: string, weight: number): Promise<void> {
  await database.write(async ({ db }) => {
    await db
      .insertInto('owners')
      .values({ owner: keptOwner(owner), weight })
      .onConflict((conflict) => conflict.column('owner').doUpdateSet({ weight }))
      .execute();
  });
}

/** The states of orders that have not ended, as an {@link OwnerView} calls them. */
const QUEUED = { waiting: 'waiting', todo: 'due', pending: 'running' } as const;

/**
 * A page of those who have ever ordered something, or have a weight, by name. `cursor` is the name that the page before
 * ended with. All is read from indexes; the shares are of this moment.
 */
export async function listOwners(
  database: ComputeDatabase,
  {
    limit = PAGE.usual,
    cursor,
  }: { readonly limit?: number | undefined; readonly cursor?: string | undefined },
): Promise<{ items: OwnerView[]; next?: string }> {
  const names = await namesAfter(database, cursor === undefined ? undefined : keptOwner(cursor), limit + 1);
  const page = names.slice(0, limit);
  const weights = await weightsOf(database, page);
  const rows = await database.read
    .selectFrom('orders')
    .select(({ fn }) => ['owner', 'status', fn.countAll<number>().as('n')])
    .where('status', 'in', Object.keys(QUEUED) as (keyof typeof QUEUED)[])
    .where('owner', 'in', page.length === 0 ? [''] : page)
    .groupBy(['owner', 'status'])
    .execute();
  const due = await dueWeights(database);
  const items = page.map((owner): OwnerView => {
    const weight = weights.get(owner) ?? 1;
    const view = { owner: shownOwner(owner), weight, waiting: 0, due: 0, running: 0 };
    for (const row of rows) {
      if (row.owner === owner) view[QUEUED[row.status as keyof typeof QUEUED]] = Number(row.n);
    }
    return { ...view, share: sharesOf(owner, weight, due) };
  });
  const last = page.at(-1);
  return { items, ...(names.length > limit && last !== undefined ? { next: shownOwner(last) } : {}) };
}

/** The names that come after one; one look into an index for each, however many orders they have. */
async function namesAfter(
  { read }: ComputeDatabase,
  after: string | undefined,
  most: number,
): Promise<string[]> {
  const beyond = (column: RawBuilder<unknown>) =>
    after === undefined ? sql`true` : sql`${column} > cast(${after} as text)`;
  const { rows } = await sql<{ owner: string }>`
    with recursive names (owner, n) as (
      select min(owner), 1 from (
        select min(owner) as owner from orders where ${beyond(sql`owner`)}
        union all select min(owner) from owners where ${beyond(sql`owner`)}) as first
      union all
      select (select min(owner) from (
          select (select min(o.owner) from orders o where o.owner > names.owner) as owner
          union all select (select min(w.owner) from owners w where w.owner > names.owner)) as later), n + 1
      from names where names.owner is not null and n < ${sql.lit(most)}
    ) select owner from names where owner is not null order by n`.execute(read);
  return rows.map(({ owner }) => owner);
}

async function weightsOf({ read }: ComputeDatabase, names: readonly string[]): Promise<Map<string, number>> {
  if (names.length === 0) return new Map();
  const rows = await read.selectFrom('owners').selectAll().where('owner', 'in', names).execute();
  return new Map(rows.map(({ owner, weight }) => [owner, Number(weight)]));
}

/** An owner with due orders of a kind, and what all owners with such orders weigh together. */
interface Due {
  readonly kind: OrderKind;
  readonly owner: string;
  readonly total: number | string;
}

async function dueWeights({ read }: ComputeDatabase): Promise<readonly Due[]> {
  const { rows } = await sql<Due>`
    select due.kind, due.owner, sum(coalesce(owners.weight, 1)) over (partition by due.kind) as total
    from (select distinct kind, owner from orders where status = 'todo') as due
    left join owners on owners.owner = due.owner`.execute(read);
  return rows;
}

function sharesOf(owner: string, weight: number, due: readonly Due[]): OwnerView['share'] {
  const mine = due.filter((one) => one.owner === owner);
  return Object.fromEntries(mine.map(({ kind, total }) => [kind, weight / Number(total)]));
}
