import { type Api, PlatformError, type StorageContract } from '@morpheo/common';
import { sendBytes } from '../downloads/downloads.ts';
import type { StorageParts } from '../parts.ts';
import { currentPin, ownTicket } from '../pins/attempt.ts';
import { expectedOfBody } from '../uploads/expectations.ts';
import { type Former, formerCheckpoint, requireLatest, storeCheckpoint, takeCheckpoint } from './store.ts';

type Routes = Pick<Api<StorageContract>, 'putCheckpoint' | 'getCheckpoint'>;

/** The routes by which an attempt leaves what the next attempt of its order goes on from. */
export function checkpointHandlers(parts: StorageParts): Routes {
  const { database, keeper, settings, budgets, log } = parts;
  return {
    putCheckpoint: async ({ params, body }, call) => {
      const ticket = ownTicket(call?.principal, params, 'checkpoints');
      const { owner } = requireLatest(await currentPin(database.read, ticket), ticket);
      const limit = settings.maxCheckpointBytes;
      if ((body.contentLength ?? 0) > limit)
        throw new PlatformError('too_large', `A checkpoint has ${limit} bytes at the most.`, {
          details: { limit },
        });
      const former = await formerCheckpoint(database, ticket);
      refuseTooSoon(former, settings.checkpointEveryMs);
      using budget = await budgets.open(owner, { announced: body.contentLength, frees: former?.size });
      const options = { ...expectedOfBody(body), signal: call?.signal, limit };
      await using blob = await keeper.receive(budget.metered(body.body), options);
      const freed = await storeCheckpoint(database, ticket, blob, budget.quota);
      await blob.commit();
      await keeper.release(freed);
      log.info({ order: ticket.order, attempt: ticket.attempt, bytes: blob.size }, 'A checkpoint was stored');
      return { size: blob.size, sha256: blob.digest };
    },
    getCheckpoint: async ({ params }, call) => {
      const ticket = ownTicket(call?.principal, params, 'checkpoints');
      const blob = await takeCheckpoint(database, ticket);
      const name = `checkpoint of order ${ticket.order}`;
      if (blob === undefined) throw new PlatformError('not_found', `There is no ${name}.`);
      const { digest: sha256, size } = blob;
      return await sendBytes(parts, 'GET', { name, fileName: ticket.order, sha256, size }, {});
    },
  };
}

function refuseTooSoon(former: Former | undefined, everyMs: number): void {
  if (former === undefined || former.ageMs >= everyMs) return;
  const seconds = Math.ceil((everyMs - former.ageMs) / 1000);
  throw new PlatformError('rate_limited', `The last checkpoint was just stored: wait ${seconds} s.`, {
    details: { retry_after: seconds },
  });
}
