import { MOST_COUNTED, PAGE, PlatformError, type ResourceType } from '@morpheo/common';
import { type RawBuilder, type SelectQueryBuilder, sql } from 'kysely';
import type { ResourceRow, StorageSchema, StorageTransaction } from './schema.ts';

/** Which things of a type are asked for; `page` counts from 0, `cursor` is the `next` of the page before. */
export interface PageRequest {
  readonly type: ResourceType;
  readonly algo?: string | undefined;
  readonly limit?: number | undefined;
  readonly page?: number | undefined;
  readonly cursor?: string | undefined;
  /** Which rows count, by conditions of which no two hold of the same row; all where absent. */
  readonly visible?: readonly RawBuilder<boolean>[] | undefined;
}

/** Things of a type, newest first; `counted` is how many fit, `next` is absent on the last page. */
export interface ResourcePage {
  readonly rows: ResourceRow[];
  readonly counted: { readonly total: number; readonly more?: true };
  readonly next?: string;
}

/**
 * A page of a list. By `cursor` nothing is shown twice or left out when things are uploaded or deleted meanwhile; by
 * `page` that may happen. Throws `invalid_request` for a cursor that no page gave, and for both at once.
 */
export async function listResources(read: StorageTransaction, request: PageRequest): Promise<ResourcePage> {
  const { type, algo, limit = PAGE.usual, page, cursor, visible = [sql<boolean>`1 = 1`] } = request;
  if (page !== undefined && cursor !== undefined)
    throw new PlatformError('invalid_request', 'A list is read by page or by cursor, not by both.');
  const last = cursor === undefined ? undefined : parseCursor(cursor);
  const before = (page ?? 0) * limit;
  const fitting = read
    .selectFrom('resources')
    .where('type', '=', type)
    .where((row) => (algo === undefined ? row.lit(true) : row('algo', '=', algo)));
  const [first, ...others] = visible.map((isOne, n) => {
    const one = fitting
      .select(['seq', 'uuid'])
      .where(isOne)
      .where((row) =>
        last === undefined
          ? row.lit(true)
          : row(row.refTuple('seq', 'uuid'), '<', row.tuple(last.seq, last.uuid)),
      )
      .orderBy('seq', 'desc')
      .orderBy('uuid', 'desc')
      .limit(before + limit + 1);
    return read.selectFrom(one.as(`range_${n}`)).select(['seq', 'uuid']);
  });
  if (first === undefined) return { rows: [], counted: { total: 0 } };
  // What is passed over is passed over in the indexes: only the rows of the page are read.
  const ids = others
    .reduce((all, other) => all.unionAll(other), first)
    .orderBy('seq', 'desc')
    .orderBy('uuid', 'desc')
    .limit(limit + 1)
    .offset(before);
  const found = await read
    .selectFrom('resources')
    .selectAll()
    .where('type', '=', type)
    .where('uuid', 'in', read.selectFrom(ids.as('ids')).select('ids.uuid'))
    .execute();
  const counted = await countUpTo(
    read,
    visible.map((isOne) => fitting.select((row) => row.lit(1).as('one')).where(isOne)),
  );
  const rows = found.toSorted(newestFirst);
  const end = rows.length > limit ? rows[limit - 1] : undefined;
  const next = end === undefined ? {} : { next: formatCursor(end) };
  return { rows: rows.slice(0, limit), counted, ...next };
}

type Ones = SelectQueryBuilder<StorageSchema, 'resources', { one: number }>;

async function countUpTo(
  read: StorageTransaction,
  ranges: readonly Ones[],
): Promise<ResourcePage['counted']> {
  const [first, ...others] = ranges;
  if (first === undefined) return { total: 0 };
  const all = others.reduce((query, other) => query.unionAll(other), first);
  const { n } = await read
    .selectFrom(all.limit(MOST_COUNTED + 1).as('counted'))
    .select((row) => row.fn.countAll<number | string>().as('n'))
    .executeTakeFirstOrThrow();
  return Number(n) > MOST_COUNTED ? { total: MOST_COUNTED, more: true } : { total: Number(n) };
}

function newestFirst(one: ResourceRow, other: ResourceRow): number {
  return other.seq - one.seq || (one.uuid < other.uuid ? 1 : -1);
}

function formatCursor({ seq, uuid }: { seq: number; uuid: string }): string {
  return Buffer.from(`${seq}.${uuid}`).toString('base64url');
}

function parseCursor(cursor: string): { seq: number; uuid: string } {
  const text = Buffer.from(cursor, 'base64url').toString('latin1');
  const [, seq, uuid] = /^(\d{1,15})\.([0-9a-f-]{36})$/.exec(text) ?? [];
  if (seq !== undefined && uuid !== undefined) return { seq: Number(seq), uuid };
  throw new PlatformError('invalid_request', 'The cursor is none that a list gave: begin again without it.');
}
