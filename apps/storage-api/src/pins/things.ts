import type { PinRequest, ResourceType } from '@morpheo/common';
import type { ResourceRow, StorageTransaction } from '../metadata/schema.ts';
import { keyOf, type Named } from '../permissions/grants.ts';
import { chunksOf, inOrder } from './sets.ts';

/** Things by {@link keyOf}; what is not there is absent. */
export type Things = ReadonlyMap<string, ResourceRow>;

/** So many ids are in one statement. */
const MOST_IDS = 10_000;

/**
 * All that orders name, and the algos of the models that they predict with, held for this transaction: until it ends
 * nobody changes or deletes them. Things are taken by type and id, and before any blob.
 */
export async function holdThings(
  transaction: StorageTransaction,
  requests: readonly PinRequest[],
): Promise<Things> {
  const named = await hold(
    transaction,
    requests.flatMap(({ uses }) => uses),
  );
  const algos = requests.flatMap((request) => modelsAlgo(request, named) ?? []);
  return new Map([...named, ...(await hold(transaction, algos))]);
}

/** The algo of the model that an order predicts with; undefined where it is not known. */
export function modelsAlgo({ kind, uses }: PinRequest, things: Things): Named | undefined {
  const model = kind === 'predict' ? uses.find(({ as }) => as === 'model') : undefined;
  const algo = model === undefined ? undefined : things.get(keyOf(model))?.algo;
  return typeof algo === 'string' ? { type: 'algo', uuid: algo } : undefined;
}

async function hold(
  transaction: StorageTransaction,
  named: readonly Named[],
): Promise<Map<string, ResourceRow>> {
  const byType = new Map<ResourceType, Set<string>>();
  for (const { type, uuid } of named) byType.set(type, (byType.get(type) ?? new Set()).add(uuid));
  const found = new Map<string, ResourceRow>();
  for (const [type, uuids] of [...byType].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    for (const some of chunksOf([...uuids].toSorted(inOrder), MOST_IDS)) {
      const rows = await transaction
        .selectFrom('resources')
        .selectAll()
        .where('type', '=', type)
        .where('uuid', 'in', some)
        .orderBy('uuid')
        .forKeyShare()
        .execute();
      for (const row of rows) found.set(keyOf(row), row);
    }
  }
  return found;
}
