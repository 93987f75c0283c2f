import { type Principal, RESOURCE_TYPES, type Usage, type UsageKind } from '@morpheo/common';
import { sql } from 'kysely';
import type { StorageDatabase } from '../metadata/schema.ts';
import { inSlices } from '../metadata/slices.ts';
import { isNamed } from './check.ts';

interface Entry {
  readonly owner: string;
  readonly kind: UsageKind;
  readonly count: number | string;
  readonly bytes: number | string;
}

/** How many resumable uploads have not come to their end, and what they have announced. */
interface Reserved {
  readonly count: number;
  readonly bytes: number;
}

/** What else there is: blobs, each once; open uploads; and algos that are in use. */
interface Other extends Omit<Entry, 'kind'> {
  readonly kind: 'blobs' | 'reserved' | 'used';
}

function isOther(row: Entry | Other): row is Other {
  return row.kind === 'blobs' || row.kind === 'reserved' || row.kind === 'used';
}

/** What all have, and one owner beside it. */
interface Held {
  readonly entries: readonly Entry[];
  /** Bytes of algos that are in use: they cannot be deleted. */
  readonly used: number;
  readonly reserved: Reserved | undefined;
}

const KINDS: readonly UsageKind[] = [...RESOURCE_TYPES, 'staged'];

/** What was reckoned of many things is told again for so many times as long as that took: it costs a twentieth at most. */
const TOLD_AGAIN = 20;
/** Of so many askers at most. */
const MOST_KEPT = 1000;

/** Reads {@link readUsage}; of very many things at most so often that nobody else is held up. */
export function usageReader(
  database: Pick<StorageDatabase, 'read'>,
  quotaOf: (owner: string) => number | undefined,
): (principal: Principal | undefined) => Promise<Usage> {
  const kept = new Map<string, { readonly until: number; readonly usage: Usage }>();
  return async (principal) => {
    const key = JSON.stringify(onlyOf(principal));
    const started = performance.now();
    const known = kept.get(key);
    if (known !== undefined && known.until > started) return known.usage;
    const { usage, isLong } = await readUsage(database, principal, quotaOf);
    const ended = performance.now();
    if (kept.size >= MOST_KEPT) kept.clear();
    if (isLong) kept.set(key, { usage, until: ended + (ended - started) * TOLD_AGAIN });
    else kept.delete(key);
    return usage;
  };
}

/** Whose things alone somebody is told of; null where all. */
function onlyOf(principal: Principal | undefined): string | null {
  return principal === undefined || principal.roles.includes('admin') ? null : principal.name;
}

/**
 * What is used, by owner and kind: what an admin (or nobody known) asks for is all there
 * is, anybody else sees what is their own. `quotaOf` tells the quotas.
 */
export async function readUsage(
  { read }: Pick<StorageDatabase, 'read'>,
  principal: Principal | undefined,
  quotaOf: (owner: string) => number | undefined,
  atOnce?: number,
): Promise<{ readonly usage: Usage; readonly isLong: boolean }> {
  const only = onlyOf(principal);
  let isLong = false;
  const mine = only === null ? sql<boolean>`1 = 1` : sql<boolean>`owner = ${only}`;
  const rows = await inSlices<Entry | Other>(
    read,
    mine,
    async ({ within, isAll, isFirst }) => {
      isLong ||= !isAll;
      // The index of what an owner has, has the type before the digest; that of all digests is passed over by a type.
      const things = isAll || only === null ? mine : sql`${mine} and type in (${sql.join(RESOURCE_TYPES)})`;
      const algos = isAll || only !== null ? sql`r.type = 'algo'` : sql`r.type || '' = 'algo'`;
      // One statement, so that where things are few all figures are of one moment.
      const { rows: some } = await sql<Entry | Other>`
      select owner, type as kind, count(*) as count, sum(size) as bytes
        from resources where ${things} and ${within} group by owner, type
      union all
      select r.owner, 'used', count(*), sum(r.size) from resources r
        where ${algos} and ${mine} and ${within} and ${isNamed()} group by r.owner
      union all
      select owner, 'staged', count(*), sum(size) from (
        select owner, size from staged where ${mine} and ${within}
        union all select owner, size from checkpoints where ${mine} and ${within}
      ) as waiting group by owner
      union all
      select creator, 'reserved', count(*), sum(size) from uploads
        where finished_at is null and ${isFirst ? sql`1 = 1` : sql`1 = 0`}
          and ${only === null ? sql`1 = 1` : sql`creator = ${only}`} group by creator
      union all
      select '', 'blobs', count(*), coalesce(sum(size), 0) from (
        select distinct sha256, size from resources where ${things} and ${within}
        union all select distinct sha256, size from staged s where ${mine} and ${within}
          and not exists (select 1 from resources r where r.sha256 = s.sha256 and ${mine})
        union all select distinct sha256, size from checkpoints c where ${mine} and ${within}
          and not exists (select 1 from resources r where r.sha256 = c.sha256 and ${mine})
          and not exists (select 1 from staged s where s.sha256 = c.sha256 and ${mine})
      ) as kept
    `.execute(read);
      return some;
    },
    atOnce,
  );
  const entries = together(rows.filter((row): row is Entry => !isOther(row)));
  const used = new Map(
    together(rows.filter((row) => row.kind === 'used')).map(({ owner, bytes }) => [owner, bytes]),
  );
  const reserved = new Map<string, Reserved>(
    rows.flatMap(({ kind, owner, count, bytes }) =>
      kind === 'reserved' ? [[owner, { count: Number(count), bytes: Number(bytes) }]] : [],
    ),
  );
  const [kept] = together(rows.filter((row) => row.kind === 'blobs'));
  const logical = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  const physical = kept?.bytes ?? 0;
  const names = new Set([
    ...(only === null ? [] : [only]),
    ...entries.map(({ owner }) => owner),
    ...reserved.keys(),
  ]);
  const usage = {
    owners: [...names]
      .sort(byName)
      .map((owner) =>
        ownerOf(
          owner,
          { entries, used: used.get(owner) ?? 0, reserved: reserved.get(owner) },
          quotaOf(owner),
        ),
      ),
    bytes: logical,
    blobs: kept?.count ?? 0,
    stored_bytes: physical,
    saved_bytes: logical - physical,
  };
  return { usage, isLong };
}

/** Rows of several slices with one owner and kind as one. */
function together<K extends string>(
  rows: readonly {
    readonly owner: string;
    readonly kind: K;
    readonly count: number | string;
    readonly bytes: number | string;
  }[],
): { owner: string; kind: K; count: number; bytes: number }[] {
  const all = new Map<string, { owner: string; kind: K; count: number; bytes: number }>();
  for (const { owner, kind, count, bytes } of rows) {
    const one = all.get(`${kind} ${owner}`) ?? { owner, kind, count: 0, bytes: 0 };
    all.set(`${kind} ${owner}`, one);
    one.count += Number(count);
    one.bytes += Number(bytes);
  }
  return [...all.values()];
}

function byName(one: string, other: string): number {
  return one < other ? -1 : 1;
}

function ownerOf(
  owner: string,
  { entries, used, reserved }: Held,
  quota: number | undefined,
): Usage['owners'][number] {
  const own = entries.filter((entry) => entry.owner === owner);
  const kinds = KINDS.flatMap((kind) => {
    const entry = own.find((one) => one.kind === kind);
    return entry === undefined ? [] : { kind, count: Number(entry.count), bytes: Number(entry.bytes) };
  });
  return {
    owner,
    bytes: kinds.reduce((sum, { bytes }) => sum + bytes, 0),
    freeable_bytes:
      own.reduce((sum, { kind, bytes }) => sum + (kind === 'staged' ? 0 : Number(bytes)), 0) - used,
    ...(reserved === undefined ? {} : { open_uploads: reserved.count, reserved_bytes: reserved.bytes }),
    ...(quota === undefined ? {} : { quota }),
    kinds,
  };
}
