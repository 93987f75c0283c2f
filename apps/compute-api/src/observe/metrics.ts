import type { Counter, Metrics } from '@morpheo/service/metrics';
import type { Change } from '../orders/changes.ts';
import type { Told } from '../retention/steps.ts';

type ByKind = Counter<'kind'>;

/** Counts the changes of orders; what it returns is called with each once it is committed. */
export function countChanges(metrics: Metrics): (change: Change) => void {
  const byKind = (name: string, help: string): ByKind => metrics.counter({ name, help, labels: ['kind'] });
  const ended = metrics.counter({
    name: 'morpheo_compute_orders_ended_total',
    help: 'Orders that ended, by kind and outcome',
    labels: ['kind', 'outcome'],
  });
  const failed = metrics.counter({
    name: 'morpheo_compute_order_failures_total',
    help: 'Orders that failed, by kind and reason; worker_lost and internal are the faults of the platform',
    labels: ['kind', 'reason'],
  });
  const seconds = metrics.histogram({
    name: 'morpheo_compute_order_duration_seconds',
    help: 'From the acceptance of orders to their end, by kind and outcome',
    labels: ['kind', 'outcome'],
    buckets: [1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400],
  });
  const counted = countersOf(byKind);

  function end({ event: outcome, order: { kind, created_at, ended_at }, failure }: Change): void {
    ended.add({ kind, outcome });
    if (outcome === 'failed') failed.add({ kind, reason: failure?.reason ?? 'internal' });
    if (created_at === undefined || ended_at === undefined || ended_at === null) return;
    seconds.observe({ kind, outcome }, (Number(ended_at) - Number(created_at)) / 1000);
  }

  return (change) => {
    const { event, order, failure } = change;
    counted[event]?.add({ kind: order.kind });
    if (event === 'failed' && failure?.reason === 'worker_lost') counted.lost?.add({ kind: order.kind });
    if (event === 'done' || event === 'failed' || event === 'cancelled') end(change);
  };
}

/** Counts the orders that the reaper takes back; what it returns is called with how many they were. */
export function countTakeovers(metrics: Metrics): (orders: number) => void {
  const takeovers = metrics.counter({
    name: 'morpheo_compute_reaper_takeovers_total',
    help: 'Orders that were taken back from workers whose lease ran out',
  });
  takeovers.add({}, 0);
  return (orders) => takeovers.add({}, orders);
}

/** Counts what is removed because of its age; what it returns is called with each part of it. */
export function countRemovals(metrics: Metrics): (some: Told) => void {
  const labels: 'what'[] = ['what'];
  const removed = metrics.counter({
    name: 'morpheo_compute_retention_removed_total',
    help: 'What was removed because of its age: orders, rows of history and logs, outputs, ids of removed orders, groups without orders',
    labels,
  });
  const bytes = metrics.counter({
    name: 'morpheo_compute_retention_removed_bytes_total',
    help: 'How many bytes that were, of history, logs and outputs',
    labels,
  });
  return ({ orders, ids, groups, ...amounts }) => {
    removed.add(
      { what: 'orders' },
      Object.values(orders).reduce((sum, count) => sum + count, 0),
    );
    removed.add({ what: 'ids' }, ids);
    removed.add({ what: 'groups' }, groups);
    for (const what of ['history', 'logs', 'outputs'] as const) {
      removed.add({ what }, amounts[what].count);
      bytes.add({ what }, amounts[what].bytes);
    }
  };
}

function countersOf(
  byKind: (name: string, help: string) => ByKind,
): Partial<Record<Change['event'], ByKind>> {
  return {
    accepted: byKind('morpheo_compute_orders_accepted_total', 'Orders that were taken in, by kind'),
    claimed: byKind('morpheo_compute_attempts_started_total', 'Attempts that workers began, by kind'),
    lost: byKind('morpheo_compute_attempts_lost_total', 'Attempts whose worker was lost, by kind'),
    error: byKind(
      'morpheo_compute_attempts_broken_total',
      'Attempts that the platform broke off, to be tried again, by kind',
    ),
    released: byKind('morpheo_compute_attempts_released_total', 'Attempts that workers gave back, by kind'),
    retried: byKind(
      'morpheo_compute_orders_retried_total',
      'Ended orders that somebody had tried again, by kind',
    ),
  };
}
