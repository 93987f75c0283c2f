import {
  MOST_DESCRIBED,
  type PinnedInput,
  PlatformError,
  type Principal,
  type Resource,
  type ResourceType,
  type Ticket,
} from '@morpheo/common';
import { parseResourceId } from '../http/resource-id.ts';
import type { StorageTransaction } from '../metadata/schema.ts';
import { keyOf } from '../permissions/grants.ts';
import type { Pinnable } from './sets.ts';
import type { PinRow } from './tables.ts';

/** The ticket of a caller; undefined where it has credentials. Throws `forbidden` where an attempt has none. */
export function ticketOf(principal: Principal | undefined): Ticket | undefined {
  if (principal?.ticket === undefined && principal?.roles.includes('attempt') === true)
    throw new PlatformError('forbidden', 'An attempt is known by its ticket alone.');
  return principal?.ticket;
}

/** The ticket of a caller, which must be of this attempt: nobody else has to do with its `what`, else `forbidden`. */
export function ownTicket(
  principal: Principal | undefined,
  { order, attempt }: { readonly order: string; readonly attempt: number },
  what: 'checkpoints' | 'inputs',
): Ticket {
  const ticket = ticketOf(principal);
  if (ticket?.order === order && ticket.attempt === attempt) return ticket;
  throw new PlatformError(
    'forbidden',
    `The ${what} of attempt ${attempt} of order ${order} are kept and told by the ticket of that attempt alone.`,
  );
}

/** What the order of a ticket has pinned, at most {@link MOST_DESCRIBED}. Throws `stale_attempt` where it has ended. */
export async function pinnedInputs(read: StorageTransaction, ticket: Ticket): Promise<PinnedInput[]> {
  const rows = await pinnedBy(read, ticket).limit(MOST_DESCRIBED).execute();
  if (rows.length === 0) await currentPin(read, ticket);
  // What is named as two things is in two sets.
  const things = new Map(rows.map((row) => [keyOf(row), row]));
  return [...things.values()].map((row) => ({ type: row.type, resource: pinnedResource(row) }));
}

function pinnedBy(read: StorageTransaction, ticket: Ticket) {
  return read
    .selectFrom('pins')
    .innerJoin('pin_members', 'pin_members.order_id', 'pins.order_id')
    .innerJoin('pinned', 'pinned.set_id', 'pin_members.set_id')
    .select([
      'pinned.type',
      'pinned.uuid',
      'pinned.sha256',
      'pinned.size',
      'pinned.algo',
      'pinned.uploaded_at',
    ])
    .where('pins.order_id', '=', ticket.order)
    .where('pins.pin', '=', ticket.pin)
    .where('pins.released_at', 'is', null);
}

/**
 * A thing as the order of a ticket has pinned it, whatever became of it since; the id is that of a path. Throws
 * `forbidden` for what the order does not name, and `stale_attempt` where it has ended.
 */
export async function pinnedThing(
  read: StorageTransaction,
  ticket: Ticket,
  type: ResourceType,
  given: string,
): Promise<Pinnable> {
  const uuid = parseResourceId(given);
  const row = await pinnedBy(read, ticket)
    .where('pinned.type', '=', type)
    .where('pinned.uuid', '=', uuid)
    .limit(1)
    .executeTakeFirst();
  if (row !== undefined) return row;
  await currentPin(read, ticket);
  throw new PlatformError('forbidden', `The order ${ticket.order} does not name ${type} ${uuid}.`);
}

/** A thing that is pinned, as an attempt is told of it: its names are not. */
export function pinnedResource({ uuid, sha256, size, algo, uploaded_at }: Pinnable): Resource {
  return {
    uuid,
    timestamp_upload: Math.floor(uploaded_at / 1000),
    ...(algo === null ? {} : { algo }),
    size,
    sha256,
  };
}

/** What is pinned for the order of a ticket. Throws as {@link requireCurrent} does. */
export async function currentPin(read: StorageTransaction, ticket: Ticket): Promise<PinRow> {
  const row = await read
    .selectFrom('pins')
    .selectAll()
    .where('order_id', '=', ticket.order)
    .executeTakeFirst();
  return requireCurrent(row, ticket);
}

/** Hands on what is pinned for the order of a ticket; throws `stale_attempt` where that is something else, or released. */
export function requireCurrent(head: PinRow | undefined, ticket: Ticket): PinRow {
  if (head !== undefined && head.pin === ticket.pin && head.released_at === null) return head;
  throw new PlatformError(
    'stale_attempt',
    `What order ${ticket.order} had pinned for attempt ${ticket.attempt} is released: the order has ended, or was begun again.`,
  );
}

/** Throws `forbidden` where a ticket is not for this attempt, or not for this result. */
export function requireOwnResult(
  { order, attempt, produces }: Ticket,
  wanted: { readonly order: string; readonly attempt: number; readonly type: string; readonly uuid: string },
): void {
  if (order !== wanted.order || attempt !== wanted.attempt)
    throw new PlatformError(
      'forbidden',
      `This ticket is of attempt ${attempt} of order ${order}, not of attempt ${wanted.attempt} of ${wanted.order}.`,
    );
  if (produces.type !== wanted.type || produces.uuid !== wanted.uuid)
    throw new PlatformError(
      'forbidden',
      `The order ${order} makes the ${produces.type} ${produces.uuid}, not the ${wanted.type} ${wanted.uuid}.`,
    );
}
