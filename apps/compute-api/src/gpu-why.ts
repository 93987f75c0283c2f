import type { OrderKind, WhyView } from '@morpheo/common';
import type { OrderRow } from './schema.ts';
import type { WorkerGpus } from './worker-queries.ts';

/** Why an order that asks for GPUs does not get them; undefined where it could, as far as GPUs go. */
export function lackOfGpus(order: OrderRow, workers: readonly WorkerGpus[]): WhyView | undefined {
  if (order.gpus === 0) return undefined;
  const asks = `It asks for ${count(order.gpus)}`;
  const most = mostGpus(workers);
  if (most < order.gpus) {
    const kind: OrderKind = order.kind;
    const there =
      most === 0 ? `no living worker for ${kind} orders has one` : `the worker with most has ${most}`;
    const advice = 'Start a worker that has as many, or cancel it and order it again with fewer.';
    return { code: 'too_few_gpus', sentence: `${asks}; ${there}. ${advice}` };
  }
  const able = workers.filter(({ total }) => total >= order.gpus);
  if (able.some(({ free }) => free >= order.gpus)) return undefined;
  const { free, total } = able.reduce((best, next) => (next.free > best.free ? next : best));
  const kept = able.some(({ worker }) => worker === order.gpus_kept_by)
    ? ` Worker ${order.gpus_kept_by} keeps those that come free for it.`
    : '';
  return {
    code: 'gpus_busy',
    sentence: `${asks}; the worker with most to spare has ${free} of its ${total} free.${kept}`,
  };
}

/** How many GPUs the worker with most has. */
export function mostGpus(workers: readonly WorkerGpus[]): number {
  return Math.max(0, ...workers.map(({ total }) => total));
}

function count(gpus: number): string {
  return gpus === 1 ? '1 GPU' : `${gpus} GPUs`;
}
