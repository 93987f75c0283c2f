import { type End, OrderFailure } from '@morpheo/common';

/** An entry point as it has to be written, for messages. */
export const EXAMPLE = 'write it in the exec form, for instance ENTRYPOINT ["node", "/app/main.js"]';

const LONGEST = 1000;

/**
 * A Dockerfile, or the archive around it, that cannot be run, as an error; `remedy` is a sentence that says what to
 * write, and `end` how the build ended where that is something else than a Dockerfile that is wrong.
 */
export function buildFailure(
  remedy: string,
  line?: number,
  cause?: unknown,
  end: End = 'dockerfile_wrong',
): OrderFailure {
  const message = line === undefined ? remedy : `Dockerfile, line ${line}: ${remedy}`;
  return new OrderFailure(end, { message: message.slice(0, LONGEST), file: 'Dockerfile' }, cause);
}

/** A piece of a Dockerfile as it may be shown in a message: what is odd is escaped, and what is long is cut. */
export function shown(text: string, length = 80): string {
  const escaped = text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|[^\S ]/gu,
    (odd) => `\\u${odd.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return escaped.length > length ? `${escaped.slice(0, length)}…` : escaped;
}
