import { FAILURES, type Failure } from '@morpheo/common';
import { oneLine, plain } from '../terminal/plain.ts';
import type { Paint } from '../terminal/terminal.ts';

/** A failure in one line: the reason, where, and what was found. */
export function failureLine(failure: Failure): string {
  const where = failure.step === undefined ? '' : ` in ${failure.step}`;
  return `${failure.reason}${where}: ${oneLine(failure.message, 400)}`;
}

/** A failure for people, over several lines: {@link failureLine} and {@link failureDetails}. */
export function failureText(paint: Paint, failure: Failure): string {
  return [paint('red', failureLine(failure)), ...failureDetails(paint, failure)].join('\n');
}

/** The figures of a failure, what to do, and the end of the log: a line each. */
export function failureDetails(paint: Paint, failure: Failure): string[] {
  const figures = [
    failure.exit_code === undefined ? undefined : `exit code ${failure.exit_code}`,
    failure.limit === undefined ? undefined : `limit ${oneLine(failure.limit)}`,
    failure.peak === undefined ? undefined : `peak ${oneLine(failure.peak)}`,
    failure.file === undefined ? undefined : `file ${oneLine(failure.file)}`,
  ].filter((figure) => figure !== undefined);
  return [
    ...(figures.length === 0 ? [] : [`  ${figures.join(', ')}`]),
    `  ${FAILURES[failure.reason].advice}`,
    ...(failure.log_tail ?? []).map((line) => `  ${paint('dim', '│')} ${plain(line)}`),
  ];
}
