import { type Principal, RESOURCE_TYPES, type Usage, type UsageKind } from '@morpheo/common';
import { sql } from 'kysely';
import type { StorageDatabase } from '../metadata/schema.ts';
import { inUse } from './check.ts';

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

/**
 * What is used, by owner and kind, in one look at the database: what an admin (or nobody known) asks for is all there
 * is, anybody else sees what is their own. `quotaOf` tells the quotas.
 */
export async function readUsage(
  { read }: Pick<StorageDatabase, 'read'>,
  principal: Principal | undefined,
  quotaOf: (owner: string) => number | undefined,
): Promise<Usage> {
  const only = principal === undefined || principal.roles.includes('admin') ? null : principal.name;
  const mine = only === null ? sql`1 = 1` : sql`owner = ${only}`;
  // One statement, so that all figures are of one moment.
  const { rows } = await sql<Entry | Other>`
    select owner, type as kind, count(*) as count, sum(size) as bytes
      from resources where ${mine} group by owner, type
    union all
    select r.owner, 'used', count(*), sum(r.size) from resources r where r.type = 'algo' and ${mine} and ${inUse}
      group by r.owner
    union all
    select owner, 'staged', count(*), sum(size) from (
      select owner, size from staged where ${mine} union all select owner, size from checkpoints where ${mine}
    ) as waiting group by owner
    union all
    select creator, 'reserved', count(*), sum(size) from uploads
      where finished_at is null and ${only === null ? sql`1 = 1` : sql`creator = ${only}`} group by creator
    union all
    select '', 'blobs', count(*), coalesce(sum(size), 0) from (
      select distinct sha256, size from resources where ${mine}
      union all select distinct sha256, size from staged s where ${mine}
        and not exists (select 1 from resources r where r.sha256 = s.sha256 and ${mine})
      union all select distinct sha256, size from checkpoints c where ${mine}
        and not exists (select 1 from resources r where r.sha256 = c.sha256 and ${mine})
        and not exists (select 1 from staged s where s.sha256 = c.sha256 and ${mine})
    ) as kept
  `.execute(read);
  const entries = rows.filter((row): row is Entry => !isOther(row));
  const used = new Map(
    rows.flatMap(({ kind, owner, bytes }) => (kind === 'used' ? [[owner, Number(bytes)]] : [])),
  );
  const reserved = new Map<string, Reserved>(
    rows.flatMap(({ kind, owner, count, bytes }) =>
      kind === 'reserved' ? [[owner, { count: Number(count), bytes: Number(bytes) }]] : [],
    ),
  );
  const kept = rows.find((row) => row.kind === 'blobs');
  const logical = entries.reduce((sum, { bytes }) => sum + Number(bytes), 0);
  const physical = Number(kept?.bytes ?? 0);
  const names = new Set([
    ...(only === null ? [] : [only]),
    ...entries.map(({ owner }) => owner),
    ...reserved.keys(),
  ]);
  return {
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
    blobs: Number(kept?.count ?? 0),
    stored_bytes: physical,
    saved_bytes: logical - physical,
  };
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
