import type { RunnerDeclaration } from '../../index.ts';
import { buildFailure, shown } from '../failure.ts';

/** The value of a label, and the line of the Dockerfile that sets it: none where its base image does. */
export interface WrittenLabel {
  readonly value: string;
  readonly line: number | undefined;
}

/** The label by which an image declares that it is a runner. */
export const RUNNER_LABEL = 'morpheo.runner';
/** The label that says how many calls it takes at a time. */
export const MAX_BATCH_LABEL = 'morpheo.max_batch';

const PROTOCOL = '1';
const MOST = 64;

/** What labels declare of a runner; undefined where they declare none. Throws `build_failed` for values that are not known. */
export function checkedRunner(labels: ReadonlyMap<string, WrittenLabel>): RunnerDeclaration | undefined {
  const [runner, most] = [labels.get(RUNNER_LABEL), labels.get(MAX_BATCH_LABEL)];
  if (runner === undefined) {
    if (most === undefined) return undefined;
    throw buildFailure(
      `The label ${MAX_BATCH_LABEL} needs ${RUNNER_LABEL}="${PROTOCOL}" beside it.`,
      most.line,
    );
  }
  if (runner.value !== PROTOCOL)
    throw buildFailure(
      `The label ${RUNNER_LABEL} is ${shown(runner.value) || 'empty'}: only "${PROTOCOL}" is known, the version of the contract of runners.`,
      runner.line,
    );
  if (most === undefined) return { maxBatch: 1 };
  const maxBatch = Number(most.value);
  if (/^[1-9]\d?$/.test(most.value) && maxBatch <= MOST) return { maxBatch };
  throw buildFailure(
    `The label ${MAX_BATCH_LABEL} is ${shown(most.value) || 'empty'}: it is a whole number from 1 to ${MOST}.`,
    most.line,
  );
}

/** The labels of an image that no Dockerfile is at hand of. */
export function labelsOfImage(
  labels: Readonly<Record<string, string>> | null | undefined,
): ReadonlyMap<string, WrittenLabel> {
  return new Map(Object.entries(labels ?? {}).map(([name, value]) => [name, { value, line: undefined }]));
}
