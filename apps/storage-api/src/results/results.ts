import {
  ANONYMOUS,
  type Api,
  type Call,
  PlatformError,
  type ResultType,
  type StorageContract,
  type Ticket,
} from '@morpheo/common';
import { requireAlgo } from '../metadata/resources.ts';
import type { StorageTransaction } from '../metadata/schema.ts';
import {
  discardResults,
  publishResult,
  refuseOvertaken,
  stagedBytes,
  stageResult,
} from '../metadata/staged.ts';
import { OutputReader } from '../outputs/output-reader.ts';
import type { StorageParts } from '../parts.ts';
import { currentPin, requireOwnResult, ticketOf } from '../pins/attempt.ts';
import { canariesOf } from '../pins/policy.ts';
import { expectedOfBody, refuseOverLimit } from '../uploads/expectations.ts';
import { CanaryGuard } from './canary-guard.ts';
import { removeResult } from './remove-result.ts';

type ResultRoutes = Pick<
  Api<StorageContract>,
  'stageResult' | 'publishResult' | 'discardResults' | 'removeResult'
>;

/**
 * The results of attempts: staged by workers, seen by nobody, and made visible or dropped by whoever keeps the orders.
 * So the result of an attempt that was overtaken never shows.
 */
export function resultHandlers({ database, keeper, settings, budgets, log }: StorageParts): ResultRoutes {
  // What an order without credentials makes is nobody's: its next orders could not use it otherwise.
  const visibilityOf = (owner: string) => (owner === '' ? 'open' : settings.defaultVisibility);
  return {
    stageResult: async ({ params: { order, attempt }, query, body }, call) => {
      refuseOverLimit(body, settings);
      const { type, uuid } = query;
      const { ticket, algo, owner, onlyNamed } = await authorOf(
        database.read,
        { order, attempt, ...query },
        call,
      );
      await refuseOvertaken(database.read, order, attempt);
      if (algo !== undefined) await requireAlgo(database.read, algo);
      const limit = settings.maxUploadBytes;
      const options = { ...expectedOfBody(body), signal: call?.signal, limit };
      const frees = await stagedBytes(database.read, order, owner);
      const how = { announced: body.contentLength, frees, onlyNamed };
      using budget = await budgets.open(owner, how);
      const made = { type, uuid, algo: type === 'model' ? algo : undefined };
      const result = { order, attempt, ...made, owner, quota: budget.quota, ticket };
      await using guard = await guardOf(database.read, order);
      const output = type === 'output' ? new OutputReader() : undefined;
      const metered = budget.metered(body.body);
      const guarded = guard?.watch(metered) ?? metered;
      await using blob = await keeper.receive(output?.watch(guarded) ?? guarded, options);
      const found = { withheld: guard?.finding, files: output?.files };
      const freed = await stageResult(database, { ...result, ...found }, blob);
      await blob.commit();
      await keeper.release(freed);
      log.info({ order, attempt, type, uuid, bytes: blob.size }, 'A result was staged');
      return { size: blob.size, sha256: blob.digest };
    },
    publishResult: async ({ params: { order, attempt }, query: { outcome } }) => {
      const how = { visibilityOf, failed: outcome === 'failed' };
      const { resource, freed } = await publishResult(database, order, attempt, how);
      await keeper.release(freed);
      log.info({ order, attempt, uuid: resource.uuid }, 'A result was published');
      return resource;
    },
    discardResults: async ({ params: { order }, query: { round } }) => {
      const dropped = await discardResults(database, order, round);
      await keeper.release(dropped);
      log.info({ order, blobs: dropped.length }, 'The results of an order were dropped');
      return undefined;
    },
    removeResult: async ({ params: { order }, query: { attempt } }) => {
      await keeper.release(await removeResult(database, order, attempt));
      log.info({ order }, 'The published result of an order was removed');
      return undefined;
    },
  };
}

/** What looks for the canaries of an order's problem; undefined where there are none. */
async function guardOf(read: StorageTransaction, order: string): Promise<CanaryGuard | undefined> {
  const pin = await read
    .selectFrom('pins')
    .select('canaries')
    .where('order_id', '=', order)
    .executeTakeFirst();
  const canaries = pin === undefined ? [] : canariesOf(pin);
  return canaries.length === 0 ? undefined : new CanaryGuard(canaries);
}

/** Of what a result is made, and whose it is. */
interface Author {
  readonly ticket?: Ticket | undefined;
  readonly algo: string | undefined;
  readonly owner: string;
  /** A worker brings the results of everybody: only a quota of its own keeps it from that. */
  readonly onlyNamed: boolean;
}

/** What the ticket of the attempt says of its result; where there is none, what is said beside the result. */
async function authorOf(
  read: StorageTransaction,
  wanted: {
    readonly order: string;
    readonly attempt: number;
    readonly type: ResultType;
    readonly uuid: string;
    readonly algo?: string | undefined;
    readonly owner?: string | undefined;
  },
  call: Call | undefined,
): Promise<Author> {
  const ticket = ticketOf(call?.principal);
  if (ticket !== undefined) {
    requireOwnResult(ticket, wanted);
    const { algo, owner } = await currentPin(read, ticket);
    return { ticket, algo: algo ?? undefined, owner, onlyNamed: false };
  }
  const { type, algo, owner } = wanted;
  if (type === 'model' && algo === undefined)
    throw new PlatformError('invalid_request', 'A model is staged with the algo that made it: add ?algo=.');
  return {
    algo,
    owner: owner === ANONYMOUS ? '' : (owner ?? call?.principal?.name ?? ''),
    onlyNamed: owner === undefined,
  };
}
