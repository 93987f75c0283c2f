import { readFile } from 'node:fs/promises';
import {
  errnoOf,
  GROUP_NAME,
  GROUP_NAME_RULE,
  issueMessage,
  NIL_UUID,
  namedBy,
  type OrderNeeds,
  orderNeeds,
  termsOf,
  uuid,
} from '@morpheo/common';
import { type Command, InvalidArgumentError } from 'commander';
import { usageError } from '../exit-codes.ts';

/** Reads an option that is a whole UUID, not nil. For commander: throws `InvalidArgumentError`. */
export function readUuid(text: string): string {
  const read = uuid.safeParse(text);
  if (read.success) return read.data;
  throw new InvalidArgumentError(
    text === NIL_UUID
      ? 'It is the nil UUID.'
      : 'It should be a UUID such as 6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11.',
  );
}

/** Reads a label that orders are found by. For commander: it throws `InvalidArgumentError`. */
export function readLabel(text: string): string {
  if (text.indexOf('=') < 1) throw new InvalidArgumentError('It should be name=value, such as sweep=7.');
  return text;
}

/** Reads the name of a group of orders. For commander: throws `InvalidArgumentError`. */
export function readGroupName(text: string): string {
  if (GROUP_NAME.test(text)) return text;
  throw new InvalidArgumentError(`It ${GROUP_NAME_RULE}.`);
}

/** Makes a reader of options that are whole numbers from `least` to `most`. */
export function readInteger(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It should be a whole number from ${least} to ${most}.`);
  };
}

/** Reads an option that may be given several times: all that were given. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

/** Reads an option that names needs, such as `runtime=docker,label.zone=a`, which may be given several times. */
export function readNeeds(text: string, before: OrderNeeds = {}): OrderNeeds {
  const terms = text.split(',').map((term) => term.trim());
  const named = namedBy([...termsOf(before), ...terms]);
  if (named === undefined) {
    throw new InvalidArgumentError(
      'It should be runtime=…, arch=…, warm=… and label.<key>=…, each once, with commas between.',
    );
  }
  const read = orderNeeds.safeParse(named);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new InvalidArgumentError(
    issue === undefined ? 'It is not right.' : `${issue.path.join('.')}: ${issueMessage(issue)}.`,
  );
}

/** Adds examples to a command's help: each is a command line and what it does. */
export function examples(command: Command, lines: readonly (readonly [string, string])[]): Command {
  const width = Math.max(...lines.map(([line]) => line.length));
  const text = lines.map(([line, effect]) =>
    width > 60 ? `  # ${effect}\n  ${line}` : `  ${line.padEnd(width)}  # ${effect}`,
  );
  return command.addHelpText('after', `\nExamples:\n${text.join('\n')}`);
}

/**
 * The bytes of a file that the command line names. Throws a usage error with its path where it cannot be read; `absent` is
 * what that says of a path where nothing is.
 */
export async function readNamedFile(file: string, absent = 'is not there'): Promise<Buffer> {
  return await readFile(file).catch((error: unknown) => throwUnreadable(file, error, absent));
}

/** Throws the usage error that tells `error` of the file system, met at a file that the command line names; other errors as they are. */
export function throwUnreadable(file: string, error: unknown, absent = 'is not there'): never {
  const code = errnoOf(error);
  if (code === undefined) throw error;
  throw usageError(`${file} ${code === 'ENOENT' ? absent : `cannot be read (${code})`}.`, undefined, error);
}
