import type { Api, Resource, StorageContract } from '@morpheo/common';
import { callPeer } from '../clients.ts';
import { nameOf } from '../inputs/download.ts';
import type { AttemptName } from '../runtime/index.ts';

type Describing = Pick<Api<StorageContract>, 'get' | 'pinnedInputs'>;

/** For which attempt {@link describedAtOnce} asks. */
export interface DescribedFor extends AttemptName {
  /** Undefined: it has no ticket, and asks for each thing. */
  readonly ticket: () => string | undefined;
  readonly signal: AbortSignal;
}

/**
 * What storage knows of a thing, as its `get`: of all that an attempt uses it is asked at once, when the first is asked
 * for. What was not in that answer, or where there was none, is asked for by itself.
 */
export function describedAtOnce(storage: Describing, of: DescribedFor): Describing['get'] {
  let asked: Promise<ReadonlyMap<string, Resource>> | undefined;
  return async (input, call) => {
    if (of.ticket() === undefined) return await storage.get(input, call);
    asked ??= allOf(storage, of).catch(() => new Map());
    return (await asked).get(nameOf(input.params)) ?? (await storage.get(input, call));
  };
}

async function allOf(
  storage: Describing,
  { order, attempt, signal }: DescribedFor,
): Promise<ReadonlyMap<string, Resource>> {
  const params = { order, attempt };
  const { inputs } = await callPeer('storage-api', signal, (stop) =>
    storage.pinnedInputs({ params }, { signal: stop }),
  );
  return new Map(inputs.map(({ type, resource }) => [nameOf({ type, uuid: resource.uuid }), resource]));
}
