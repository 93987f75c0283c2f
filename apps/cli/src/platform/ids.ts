import { isUuid, PAGE, type ResourceType } from '@morpheo/common';
import type { Context } from '../context.ts';
import { CliError, EXIT, usageError } from '../exit-codes.ts';
import { orderPages, pages } from './pages.ts';

const BEGINNING = /^[0-9a-f][0-9a-f-]{3,35}$/i;
/** How many ids are looked through, newest first, for those that were abbreviated. */
const MOST_LISTED = 20_000;

/** The full id of an order that is named by it or by its beginning (4 digits or more). */
export async function resolveOrder(context: Context, text: string): Promise<string> {
  const [id] = await resolveIds([text], 'order', () => orderIds(context));
  return id ?? text;
}

/** The full id of a search of the caller that is named by it or by its beginning (4 digits or more). */
export async function resolveSearch(context: Context, text: string): Promise<string> {
  const [id] = await resolveIds([text], 'search', () => searchIds(context));
  return id ?? text;
}

/** The full ids of things that storage keeps, in the order of `texts`; storage is asked only for abbreviated ones. */
export async function resolveResources(
  context: Context,
  type: ResourceType,
  texts: readonly string[],
): Promise<string[]> {
  return await resolveIds(texts, type, () => resourceIds(context, type));
}

/** {@link resolveResources} for one. */
export async function resolveResource(context: Context, type: ResourceType, text: string): Promise<string> {
  const [id] = await resolveResources(context, type, [text]);
  return id ?? text;
}

/**
 * Completes ids: a whole UUID stays as it is, a beginning of 4 digits or more becomes the one id of `list` that starts
 * so. Throws a `CliError`: usage for what is no id or starts several, not found for what starts none.
 */
async function resolveIds(
  texts: readonly string[],
  noun: string,
  list: () => AsyncIterable<string>,
): Promise<string[]> {
  const beginnings = new Map<string, Set<string>>();
  for (const text of texts) {
    if (isUuid(text)) continue;
    if (!BEGINNING.test(text)) {
      throw usageError(
        `"${text}" is not the id of ${article(noun)}.`,
        'Give a UUID, or its beginning of 4 hexadecimal digits or more.',
      );
    }
    beginnings.set(text.toLowerCase(), new Set());
  }
  if (beginnings.size > 0) await collect(beginnings, list());
  return texts.map((text) => (isUuid(text) ? text.toLowerCase() : theOne(text, noun, beginnings)));
}

async function collect(
  beginnings: ReadonlyMap<string, Set<string>>,
  ids: AsyncIterable<string>,
): Promise<void> {
  let seen = 0;
  for await (const id of ids) {
    for (const [beginning, ids] of beginnings) if (id.startsWith(beginning)) ids.add(id);
    seen += 1;
    if (seen >= MOST_LISTED) return;
  }
}

const WHERE_LISTED: Readonly<Record<string, string>> = {
  order: '"morpheo orders list" shows the orders there are.',
  search:
    '"morpheo search list" shows your searches. One of another owner, such as dicebox, is named by its whole id.',
};

function theOne(text: string, noun: string, beginnings: ReadonlyMap<string, ReadonlySet<string>>): string {
  const ids = [...(beginnings.get(text.toLowerCase()) ?? [])];
  const [id] = ids;
  if (id === undefined) {
    throw new CliError(
      EXIT.notFound,
      `No ${NOUNS[noun] ?? noun} has an id that begins with ${text}.`,
      WHERE_LISTED[noun],
    );
  }
  if (ids.length > 1) {
    const some = ids.slice(0, 3).join(', ');
    throw usageError(
      `${text} begins the ids of ${ids.length} ${plural(noun)}: ${some}${ids.length > 3 ? ', …' : ''}`,
      'Give more digits.',
    );
  }
  return id;
}

async function* orderIds(context: Context): AsyncGenerator<string> {
  for await (const page of orderPages(context, {})) for (const order of page.items) yield order.id;
}

async function* searchIds({ compute, signal }: Context): AsyncGenerator<string> {
  const read = (cursor: string | undefined) =>
    compute().listSearches({ query: { limit: PAGE.most, cursor } }, { signal });
  for await (const page of pages(read)) for (const item of page.items) yield item.uuid;
}

async function* resourceIds({ storage, signal }: Context, type: ResourceType): AsyncGenerator<string> {
  const read = (cursor: string | undefined) =>
    storage().list({ params: { type }, query: { limit: PAGE.most, cursor } }, { signal });
  for await (const page of pages(read)) for (const item of page.items) yield item.uuid;
}

/** What people call a thing, where its type is another word. */
const NOUNS: Record<string, string> = { data: 'data set' };

function article(noun: string): string {
  const word = NOUNS[noun] ?? noun;
  return `${/^[aeiou]/.test(word) ? 'an' : 'a'} ${word}`;
}

function plural(noun: string): string {
  return `${NOUNS[noun] ?? noun}${noun.endsWith('ch') ? 'es' : 's'}`;
}
