import { PAGE, PlatformError, type ResourceType } from '@morpheo/common';
import type { RawBuilder } from 'kysely';
import type { ResourceRow, StorageTransaction } from './schema.ts';

/** Which things of a type are asked for; `page` counts from 0, `cursor` is the `next` of the page before. */
export interface PageRequest {
  readonly type: ResourceType;
  readonly algo?: string | undefined;
  readonly limit?: number | undefined;
  readonly page?: number | undefined;
  readonly cursor?: string | undefined;
  /** Which rows count; all where absent. */
  readonly visible?: RawBuilder<boolean> | undefined;
}

/** Things of a type, newest first; `total` counts all that fit, `next` is absent on the last page. */
export interface ResourcePage {
  readonly rows: ResourceRow[];
  readonly total: number;
  readonly next?: string;
}

/**
 * A page of a list. By `cursor` nothing is shown twice or left out when things are uploaded or deleted meanwhile; by
 * `page` that may happen. Throws `invalid_request` for a cursor that no page gave, and for both at once.
 */
export async function listResources(read: StorageTransaction, request: PageRequest): Promise<ResourcePage> {
  const { type, algo, limit = PAGE.usual, page, cursor, visible } = request;
  if (page !== undefined && cursor !== undefined)
    throw new PlatformError('invalid_request', 'A list is read by page or by cursor, not by both.');
  let fitting = read.selectFrom('resources').where('type', '=', type);
  if (algo !== undefined) fitting = fitting.where('algo', '=', algo);
  if (visible !== undefined) fitting = fitting.where(visible);
  const { total } = await fitting
    .select(({ fn }) => fn.countAll<number | string>().as('total'))
    .executeTakeFirstOrThrow();
  let inOrder = fitting
    .orderBy('seq', 'desc')
    .orderBy('uuid', 'desc')
    .limit(limit + 1);
  if (page !== undefined) inOrder = inOrder.offset(page * limit);
  if (cursor !== undefined) {
    const last = parseCursor(cursor);
    inOrder = inOrder.where(({ eb, and, or }) =>
      or([eb('seq', '<', last.seq), and([eb('seq', '=', last.seq), eb('uuid', '<', last.uuid)])]),
    );
  }
  // What is passed over is passed over in the index: only the rows of the page are read.
  const found = await fitting.selectAll().where('uuid', 'in', inOrder.select('uuid')).execute();
  const rows = found.toSorted(newestFirst);
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  const next = last === undefined ? {} : { next: formatCursor(last) };
  return { rows: rows.slice(0, limit), total: Number(total), ...next };
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
