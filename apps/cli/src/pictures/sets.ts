import type { PictureSet, PictureSetKey } from '@morpheo/common';
import type { Context } from '../context.ts';
import { CliError, EXIT, usageError } from '../exit-codes.ts';
import { oneLine } from '../terminal/text.ts';

/** The set that is named by its id, by its name, or by name and size. Throws a `CliError` where none or several are. */
export async function setOf(
  { pictures, signal }: Pick<Context, 'pictures' | 'signal'>,
  text: string,
): Promise<PictureSet> {
  const { items } = await pictures().listPictureSets({}, { signal });
  const found = items.filter((set) => [set.id, set.name, nameOfSet(set)].includes(text));
  const [set] = found;
  if (set === undefined) {
    throw new CliError(
      EXIT.notFound,
      `There is no set of pictures "${oneLine(text, 60)}".`,
      '"morpheo pictures list" shows the sets there are.',
    );
  }
  if (found.length > 1) {
    const some = found.map(nameOfSet).slice(0, 3).join(', ');
    throw usageError(
      `"${text}" names ${found.length} sets: ${some}.`,
      'Name it with its size, or by its id.',
    );
  }
  return set;
}

/** A set as dicebox calls its folder. */
export function nameOfSet({ name, width, height }: PictureSetKey): string {
  return `${name}_${width}x${height}`;
}
