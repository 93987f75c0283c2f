import {
  type Api,
  type ComputeContract,
  isUuid,
  type ResourceType,
  type StorageContract,
} from '@morpheo/common';
import { CliError, EXIT, usageError } from '../exit-codes.ts';
import { orderPages, resourcePages } from './pages.ts';

const BEGINNING = /^[0-9a-f][0-9a-f-]{3,35}$/i;
/** How many ids are looked through, newest first, for those that were abbreviated. */
const MOST_LISTED = 20_000;

/** The full id of an order that is named by it or by its beginning (4 digits or more). */
export async function resolveOrder(
  compute: Api<ComputeContract>,
  text: string,
  signal: AbortSignal,
): Promise<string> {
  const [id] = await resolveIds([text], 'order', () => orderIds(compute, signal));
  return id ?? text;
}

/** The full ids of things that storage keeps, in the order of `texts`; storage is asked only for abbreviated ones. */
export async function resolveResources(
  storage: () => Api<StorageContract>,
  type: ResourceType,
  texts: readonly string[],
  signal: AbortSignal,
): Promise<string[]> {
  return await resolveIds(texts, type, () => resourceIds(storage(), type, signal));
}

/** {@link resolveResources} for one. */
export async function resolveResource(
  storage: () => Api<StorageContract>,
  type: ResourceType,
  text: string,
  signal: AbortSignal,
): Promise<string> {
  const [id] = await resolveResources(storage, type, [text], signal);
  return id ?? text;
}

/**
 * Completes ids: a whole UUID stays as it is, a beginning of 4 digits or more becomes the one id of `list` that starts
 * so. Throws a `CliError`: usage for what is no id or starts several, not found for what starts none.
 */
export async function resolveIds(
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
    for (const [beginning, found] of beginnings) if (id.startsWith(beginning)) found.add(id);
    seen += 1;
    if (seen >= MOST_LISTED) return;
  }
}

function theOne(text: string, noun: string, beginnings: ReadonlyMap<string, ReadonlySet<string>>): string {
  const found = [...(beginnings.get(text.toLowerCase()) ?? [])];
  const [id] = found;
  if (id === undefined) {
    throw new CliError(
      EXIT.notFound,
      `No ${NOUNS[noun] ?? noun} has an id that begins with ${text}.`,
      HOW_TO_LIST[noun],
    );
  }
  if (found.length > 1) {
    const some = found.slice(0, 3).join(', ');
    throw usageError(
      `${text} begins the ids of ${found.length} ${plural(noun)}: ${some}${found.length > 3 ? ', …' : ''}`,
      'Give more digits.',
    );
  }
  return id;
}

const HOW_TO_LIST: Record<string, string> = {
  order: '"morpheo orders list" shows the orders there are.',
};

async function* orderIds(compute: Api<ComputeContract>, signal: AbortSignal): AsyncGenerator<string> {
  for await (const page of orderPages(compute, {}, signal)) for (const order of page.items) yield order.id;
}

async function* resourceIds(
  storage: Api<StorageContract>,
  type: ResourceType,
  signal: AbortSignal,
): AsyncGenerator<string> {
  for await (const page of resourcePages(storage, type, signal))
    for (const item of page.items) yield item.uuid;
}

/** What people call a thing, where its type is another word. */
const NOUNS: Record<string, string> = { data: 'data set' };

function article(noun: string): string {
  const word = NOUNS[noun] ?? noun;
  return `${/^[aeiou]/.test(word) ? 'an' : 'a'} ${word}`;
}

function plural(noun: string): string {
  return `${NOUNS[noun] ?? noun}s`;
}
