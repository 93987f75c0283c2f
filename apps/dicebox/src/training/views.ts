import {
  type Failure,
  type MetricsPage,
  type OrderSummary,
  type TrainingEpoch,
  type TrainingSummary,
  trainingEpoch,
} from '@morpheo/common';
import { LABELS } from './labels.ts';

/** The exit code by which the trainer says that it cannot work with what it was given. */
const REFUSED = 3;

/** A training as a list shows it. */
export function summaryOf(order: OrderSummary): TrainingSummary {
  const { id, status, attempt, created_at, started_at, ended_at, job, result, failure } = order;
  const { labels = {} } = job ?? {};
  const output = result?.uuid;
  return {
    ...{ id, status, attempt, created_at },
    set: labels[LABELS.setId] ?? '',
    set_name: labels[LABELS.set] ?? '',
    network: labels[LABELS.network] ?? '',
    epochs_wanted: Number(labels[LABELS.epochs] ?? 0),
    pictures: Number(labels[LABELS.pictures] ?? 0),
    ...(started_at === undefined ? {} : { started_at }),
    ...(ended_at === undefined ? {} : { ended_at }),
    ...(output === undefined ? {} : { output }),
    ...(failure === undefined ? {} : { failure: failureOf(failure) }),
  };
}

/** What the trainer says of its failure is the last line that it printed. */
function failureOf({
  reason,
  message,
  exit_code: code,
  log_tail: tail = [],
}: Failure): TrainingSummary['failure'] {
  const said = tail.findLast((line) => line.trim() !== '');
  return { reason, message: code === REFUSED && said !== undefined ? said.trim() : message };
}

/**
 * The epochs that lines of metrics tell of, in their order. An attempt that goes on from a checkpoint tells those before once
 * more, and may have to repeat what came after it: what is told last holds.
 */
export function epochsOf(lines: MetricsPage['items']): TrainingEpoch[] {
  const epochs = new Map<number, TrainingEpoch>();
  for (const { line } of lines) {
    const read = trainingEpoch.safeParse(line);
    if (read.success) epochs.set(read.data.epoch, read.data);
  }
  return [...epochs.values()].toSorted((a, b) => a.epoch - b.epoch);
}

/** The first epoch of the highest accuracy. */
export function bestOf(epochs: readonly TrainingEpoch[]): { epoch: number; accuracy: number } | undefined {
  const [first, ...others] = epochs;
  if (first === undefined) return undefined;
  const { epoch, accuracy } = others.reduce(
    (best, one) => (one.accuracy > best.accuracy ? one : best),
    first,
  );
  return { epoch, accuracy };
}
