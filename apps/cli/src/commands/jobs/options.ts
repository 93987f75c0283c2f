import { InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import { usageError } from '../../exit-codes.ts';

/** Reads options such as `--env A=b`, each of a name. Throws a `CliError` for one without `=`. */
export function readPairs(option: string, texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=');
      if (at < 1) throw usageError(`${option} ${text} has no =.`, `Give ${option} name=value.`);
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

/** Makes a reader of options that a schema reads. For commander: it throws `InvalidArgumentError`. */
export function readBy<T>(schema: z.ZodType<T>): (text: string) => T {
  return (text) => {
    const read = schema.safeParse(text);
    if (read.success) return read.data;
    throw new InvalidArgumentError(`It ${read.error.issues[0]?.message ?? 'is not right'}.`);
  };
}
