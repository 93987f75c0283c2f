import type { ZodError } from 'zod';

/**
 * What the caller gave cannot be worked with: a network that cannot be built, pictures that teach nothing. The message
 * is one plain sentence that says what is wrong, where, and what to do; the program ends with exit code 3 on it.
 */
export class Refusal extends Error {
  override name = 'Refusal';
}

/** What is wrong with a value of a file, in one line. */
export function wrong({ issues }: ZodError): string {
  const texts = issues.map(
    ({ path, message }) => `${path.length === 0 ? '' : `${path.join('.')}: `}${message}`,
  );
  return texts.slice(0, 3).join('; ');
}
