import { hash } from 'node:crypto';
import {
  bytesOf,
  type CallRequest,
  type CallSpec,
  callPath,
  type Job,
  MOST_IN_CALL,
  type OrderNeeds,
  type PinUse,
  termsOf,
} from '@morpheo/common';
import type { AskedCall } from './open-call.ts';
import type { Held } from './rights.ts';

/** Where the model of a call lies, and what its algorithm is called with: as the step *predict* has it. */
const OF_MODELS = { path: '/data/model', command: ['-V', '/data', '-T', 'serve'] } as const;

/** What a call names on storage, and as what. */
export function usesOf({ algo, model, inputs = [] }: CallRequest): PinUse[] {
  const named = inputs.flatMap(({ resource }) => resource ?? []);
  const once = new Map(named.map((resource) => [`${resource.type} ${resource.uuid}`, resource]));
  return [
    ...(algo === undefined ? [] : [{ type: 'algo', uuid: algo, as: 'algo' } as const]),
    ...(model === undefined ? [] : [{ type: 'model', uuid: model, as: 'model' } as const]),
    ...[...once.values()].map(({ type, uuid }) => ({ type, uuid, as: 'input' }) as const),
  ];
}

/**
 * Whether a call tells the algorithm of its model what to do otherwise than to predict. Then its caller has to have a right
 * to the algorithm as well: by variables, words or files of its own a program can be had to show all that is in its image.
 */
export function directsAlgo({ model, command, env, inputs = [] }: CallRequest): boolean {
  if (model === undefined) return false;
  return (
    command !== undefined || env !== undefined || inputs.some(({ path }) => callPath(path) === undefined)
  );
}

/**
 * What a worker runs for a call. A model stands for its algorithm (`algo`), which is given the model as an input of the
 * runner.
 */
export function specOfCall(request: CallRequest, algo: string | undefined): CallSpec {
  const { image, model, warm = 'runner', command, env, inputs = [], limits } = request;
  const fixed =
    model === undefined
      ? []
      : [{ path: OF_MODELS.path, resource: { type: 'model', uuid: model } as const, unpack: true }];
  const words = command ?? (model === undefined ? undefined : [...OF_MODELS.command]);
  return {
    ...(image === undefined ? {} : { image }),
    ...(algo === undefined ? {} : { algo }),
    warm,
    ...(words === undefined ? {} : { command: words }),
    ...(env === undefined ? {} : { env }),
    inputs: [...fixed, ...inputs],
    ...(limits === undefined ? {} : { limits }),
  };
}

/** The call as a desk takes it; `held` is what storage holds of what it names, absent where it names nothing. */
export function askedCall(
  request: CallRequest,
  {
    spec,
    owner,
    held,
    runMs,
  }: {
    readonly spec: CallSpec;
    /** As it is kept. */
    readonly owner: string;
    readonly held: Held | undefined;
    readonly runMs: number;
  },
): Omit<AskedCall, 'given'> & { readonly given: Omit<AskedCall['given'], 'owner'> } {
  const { gpus = 0, model, limits, wait_seconds = MOST_IN_CALL.usualWaitSeconds } = request;
  const terms = termsOf(needsOf(request));
  return {
    given: {
      key: keyOf({ spec, owner, gpus, terms }),
      ...{ spec, gpus },
      ...(held?.ticket === undefined ? {} : { ticket: held.ticket }),
      ...(held === undefined ? {} : { pinned: { order: held.order, attempt: 1 } }),
      ...(model === undefined ? {} : { model }),
    },
    ...{ owner, terms },
    bytes: bytesOf([JSON.stringify(spec)]),
    waitMs: wait_seconds * 1000,
    runMs: limits?.wall_seconds === undefined ? runMs : limits.wall_seconds * 1000,
  };
}

/** The order that a call becomes which is to be answered later. */
export function jobOfCall(
  { gpus, needs, owner }: CallRequest,
  { inputs = [], ...spec }: CallSpec,
  uuid: string,
): Job {
  return {
    ...{ uuid, ...spec },
    ...(inputs.length === 0 ? {} : { inputs }),
    ...(gpus === undefined ? {} : { gpus }),
    ...(needs === undefined ? {} : { needs }),
    ...(owner === undefined ? {} : { owner }),
  };
}

function needsOf({ image, warm = 'runner', needs = {} }: CallRequest): OrderNeeds {
  return { ...needs, ...(image === undefined ? {} : { runtime: 'docker' as const }), warm };
}

/** The same for calls that differ in what lies below `/in/` alone, and are of one owner. */
function keyOf({
  spec: { inputs = [], ...spec },
  ...others
}: {
  readonly spec: CallSpec;
  readonly owner: string;
  readonly gpus: number;
  readonly terms: readonly string[];
}): string {
  const fixed = inputs.filter(({ path }) => callPath(path) === undefined);
  const sorted = fixed.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  return hash('sha256', JSON.stringify([spec, sorted, others]), 'hex');
}
