import { randomUUID } from 'node:crypto';
import {
  decodedBytes,
  type Job,
  type JobView,
  NIL_UUID,
  type OrderKind,
  type OrderResult,
  type OrderSpec,
  type OrderSummary,
  type PinRequest,
  PlatformError,
  sheepLabels,
} from '@morpheo/common';
import type { OrderRow } from '../db/schema.ts';
import type { Effect } from '../outbox/effects.ts';
import { brokenLearnRule, brokenPredictRule } from './rules.ts';
import { pinOf, specOf } from './store.ts';

/** A result as an order keeps it: without digest and size where its worker stored it by itself. */
export type MadeResult = NonNullable<OrderSummary['result']>;

/** What orders of a kind have of their own: a new kind is an entry of {@link KINDS} and a route. */
export interface Kind<Spec extends OrderSpec> {
  /** What the originals call such an order where they refuse it. */
  readonly wireName: string;
  /** The first rule that the order breaks, in the originals' words where it is one of theirs; undefined for a good one. */
  brokenRule(spec: Spec): string | undefined;
  /** The order with what clients of the originals may leave out though a worker cannot do without. */
  completed(spec: Spec): Spec;
  /**
   * What it works with: the algorithm, or the model; which model it starts from; which model or output it makes; and the
   * problem, where it has one.
   */
  columnsOf(
    spec: Spec,
  ): Pick<OrderRow, 'problem' | 'workflow' | 'algo' | 'model' | 'model_start' | 'model_end'>;
  /** What it names on storage, and as what; and the one id that it may make there. */
  holdsOf(spec: Spec): Pick<PinRequest, 'uses' | 'produces'>;
  /** The order with the id that storage keeps free for what it makes, where it named none. */
  withResult(spec: Spec, uuid: string): Spec;
  /** What `/v1` shows of its body beside what all orders have. */
  summaryOf(spec: Spec): Partial<OrderSummary>;
  /** Whether what it makes is kept on storage, which then publishes it; else its end has no publication before it. */
  isStored(order: Pick<OrderRow, 'spec'>): boolean;
  /** Throws `invalid_request` for a result that a worker may not report for the order. */
  checkResult(order: OrderRow, result: OrderResult): void;
  /**
   * What the orchestrator is told of the end, if it knows such orders; null where there is no result, since the order was
   * not done.
   */
  endMessage(result: MadeResult | null): Effect | undefined;
}

type Spec<K extends OrderKind> = Extract<OrderSpec, { kind: K }>;

const KINDS: { readonly [K in OrderKind]: Kind<Spec<K>> } = {
  learn: {
    wireName: 'learn-uplet',
    brokenRule: ({ uplet }) => brokenLearnRule(uplet),
    completed(spec) {
      if (spec.uplet.model_end !== NIL_UUID) return spec;
      return { kind: 'learn', uplet: { ...spec.uplet, model_end: randomUUID() } };
    },
    columnsOf({ uplet: { problem, workflow, algo, rank, model_start, model_end } }) {
      // At rank 0 the originals send the algo's id as start model, which is none.
      const hasStart = rank > 0 && model_start !== NIL_UUID;
      const start = hasStart ? model_start : null;
      return { problem, workflow, algo, model: null, model_start: start, model_end };
    },
    holdsOf({ uplet }) {
      const { workflow, algo, rank, model_start, model_end, train_data, test_data } = uplet;
      // Of a rank without a start model a worker says what is missing.
      const start = rank > 0 && model_start !== NIL_UUID ? [model_start] : [];
      return {
        uses: [
          { type: 'problem', uuid: workflow, as: 'problem' },
          { type: 'algo', uuid: algo, as: 'algo' },
          ...start.map((uuid) => ({ type: 'model', uuid, as: 'model' }) as const),
          ...unique(train_data).map((uuid) => ({ type: 'data', uuid, as: 'train' }) as const),
          ...unique(test_data).map((uuid) => ({ type: 'data', uuid, as: 'test' }) as const),
        ],
        produces: { type: 'model', uuid: model_end },
      };
    },
    withResult: (spec) => spec,
    isStored: () => true,
    summaryOf: ({ uplet: { train_data, test_data, rank } }) => ({ train_data, test_data, rank }),
    checkResult({ model_end }, { uuid, performance }) {
      if (uuid !== model_end) {
        throw new PlatformError(
          'invalid_request',
          `body.result.uuid: should be the order's model_end, ${model_end}`,
        );
      }
      if (performance === undefined) {
        throw new PlatformError(
          'invalid_request',
          'body.result.performance: a learn order ends with its scores',
        );
      }
    },
    endMessage(result) {
      const performance = result?.performance;
      if (performance === undefined) return { do: 'tell_learn', body: { status: 'failed' } };
      const { perf, train_perf, test_perf } = performance;
      return { do: 'tell_learn', body: { perf, train_perf, test_perf, status: 'done' } };
    },
  },
  predict: {
    wireName: 'pred-uplet',
    brokenRule: ({ uplet }) => brokenPredictRule(uplet),
    completed: (spec) => spec,
    columnsOf: ({ uplet: { problem, workflow, model } }) => ({
      ...{ problem, workflow, model },
      ...{ algo: null, model_start: null, model_end: null },
    }),
    holdsOf: ({ uplet: { workflow, model, data, prediction_storage_uuid } }) => ({
      uses: [
        { type: 'problem', uuid: workflow, as: 'problem' },
        { type: 'model', uuid: model, as: 'model' },
        { type: 'data', uuid: data, as: 'predict' },
      ],
      produces: { type: 'prediction', uuid: prediction_storage_uuid },
    }),
    withResult(spec, uuid) {
      if (spec.uplet.prediction_storage_uuid !== NIL_UUID) return spec;
      return { kind: 'predict', uplet: { ...spec.uplet, prediction_storage_uuid: uuid } };
    },
    isStored: () => true,
    summaryOf: ({ uplet: { data } }) => ({ data }),
    checkResult: checkKept,
    endMessage(result) {
      if (result === null) return { do: 'tell_predict', body: { status: 'failed' } };
      return { do: 'tell_predict', body: { status: 'done', prediction_storage_uuid: result.uuid } };
    },
  },
  job: {
    wireName: 'job',
    brokenRule: () => undefined,
    completed({ uplet }) {
      const { image, sheep, warm } = uplet;
      const labels = { ...uplet.needs?.labels, ...(sheep && sheepLabels([{ id: sheep.id, type: 'bare' }])) };
      const own = {
        ...(image === undefined ? {} : { runtime: 'docker' as const }),
        ...(sheep === undefined ? {} : { labels }),
        ...(warm === undefined ? {} : { warm }),
      };
      const needs = Object.keys(own).length === 0 ? uplet.needs : { ...uplet.needs, ...own };
      return {
        kind: 'job',
        uplet: { ...uplet, ...(needs === undefined ? {} : { needs }), output: uplet.output ?? randomUUID() },
      };
    },
    columnsOf: ({ uplet: { algo = null, output = null } }) => ({
      ...{ algo, problem: '', workflow: '' },
      ...{ model: null, model_start: null, model_end: output },
    }),
    holdsOf({ uplet: { algo, inputs = [], output = NIL_UUID } }) {
      const named = inputs.flatMap(({ resource }) => resource ?? []);
      const once = new Map(named.map((resource) => [`${resource.type} ${resource.uuid}`, resource]));
      return {
        uses: [
          ...(algo === undefined ? [] : [{ type: 'algo', uuid: algo, as: 'algo' } as const]),
          ...[...once.values()].map(({ type, uuid }) => ({ type, uuid, as: 'input' }) as const),
        ],
        produces: { type: 'output', uuid: output },
      };
    },
    withResult: (spec) => spec,
    isStored(order) {
      const { uplet } = specOf(order);
      return !('outputs' in uplet) || uplet.outputs?.storage !== false;
    },
    summaryOf: ({ uplet }) => ({ job: jobViewOf(uplet) }),
    checkResult: checkKept,
    endMessage: () => undefined,
  },
};

/** Throws `invalid_request` for a result with another id than storage keeps for the order. */
function checkKept(order: OrderRow, { uuid }: OrderResult): void {
  const kept = pinOf(order)?.produces.uuid;
  if (kept === undefined || uuid === kept) return;
  throw new PlatformError('invalid_request', `body.result.uuid: should be ${kept}, which is kept for it`);
}

function jobViewOf({
  image,
  sheep,
  warm,
  command,
  env,
  inputs = [],
  output,
  outputs,
  limits,
  labels,
}: Job): JobView {
  const all = { image, sheep, warm, command, env, output, outputs, limits, labels };
  return {
    ...Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)),
    inputs: inputs.map(({ inline, ...input }) =>
      inline === undefined ? input : { ...input, inline_bytes: decodedBytes(inline) },
    ),
  };
}

function unique(ids: readonly string[]): string[] {
  return [...new Set(ids)];
}

/** What orders of a kind have of their own. The caller gives it orders of that kind alone. */
export function kindOf(kind: OrderKind): Kind<OrderSpec> {
  return KINDS[kind];
}
