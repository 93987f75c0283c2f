import { ANONYMOUS, type Api, PlatformError, type StorageContract } from '@morpheo/common';
import { expectedOfBody, refuseOverLimit } from './expectations.ts';
import type { StorageParts } from './storage-parts.ts';

type ResultRoutes = Pick<Api<StorageContract>, 'stageResult' | 'publishResult' | 'discardResults'>;

/**
 * The results of attempts: staged by workers, seen by nobody, and made visible or dropped by whoever keeps the orders.
 * So the result of an attempt that was overtaken never shows.
 */
export function resultHandlers({ keeper, staged, settings, allowances, log }: StorageParts): ResultRoutes {
  return {
    stageResult: async (
      { params: { order, attempt }, query: { type, uuid, algo, owner: told }, body },
      call,
    ) => {
      if (type === 'model' && algo === undefined)
        throw new PlatformError(
          'invalid_request',
          'A model is staged with the algo that made it: add ?algo=.',
        );
      refuseOverLimit(body, settings);
      await staged.refuseOvertaken(order, attempt);
      if (algo !== undefined) await staged.requireAlgo(algo);
      const { body: source, release } = body;
      const limit = settings.maxUploadBytes;
      const options = { ...expectedOfBody(body), release, signal: call?.signal, limit };
      const owner = told === ANONYMOUS ? '' : (told ?? call?.principal?.name ?? '');
      // A worker brings the results of everybody: only a quota of its own keeps it from that.
      const onlyNamed = told === undefined;
      const frees = await staged.reservedFor(order, owner);
      const how = { announced: body.contentLength, frees, onlyNamed };
      using allowance = await allowances.open(owner, how);
      const made = { type, uuid, algo: type === 'model' ? algo : undefined };
      const result = { order, attempt, ...made, owner, quota: allowance.quota };
      const { blob, freed } = await keeper.keep(allowance.metered(source), options, async (stored) => ({
        blob: stored,
        freed: await staged.stage(result, stored),
      }));
      await keeper.release(freed);
      log.info({ order, attempt, type, uuid, bytes: blob.size }, 'A result was staged');
      return { size: blob.size, sha256: blob.digest };
    },
    publishResult: async ({ params: { order, attempt } }) => {
      const { resource, freed } = await staged.publish(order, attempt);
      await keeper.release(freed);
      log.info({ order, attempt, uuid: resource.uuid }, 'A result was published');
      return resource;
    },
    discardResults: async ({ params: { order } }) => {
      const dropped = await staged.discard(order);
      await keeper.release(dropped);
      log.info({ order, blobs: dropped.length }, 'The results of an order were dropped');
      return undefined;
    },
  };
}
