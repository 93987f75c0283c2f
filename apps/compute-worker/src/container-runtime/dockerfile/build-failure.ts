import { OrderFailure } from '@morpheo/common';

/** A Dockerfile, or the archive around it, that cannot be run: `what` is a sentence that says what to write. */
export function buildFailure(what: string, line?: number, cause?: unknown): OrderFailure {
  const message = line === undefined ? what : `Dockerfile, line ${line}: ${what}`;
  return new OrderFailure(
    { reason: 'build_failed', message: message.slice(0, 1000), file: 'Dockerfile' },
    cause,
  );
}
