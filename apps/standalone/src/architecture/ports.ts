import type { Tree } from './tree.ts';

/** The ports whose contract is numbered: the letter of its sentences, by the file of its prose. */
export const PORTS: Readonly<Record<string, string>> = {
  'apps/storage-api/src/blobs/blob-store.ts': 'B',
  'apps/compute-worker/src/runtime/index.ts': 'R',
  'apps/compute-worker/src/buckets/index.ts': 'P',
  'apps/shepherd-api/src/store/store.ts': 'J',
  'libs/service/src/broker/broker.ts': 'M',
  'libs/service/src/database/database.ts': 'D',
};

/** What registers a test, and the title that follows it. */
const TITLE =
  /\b(?:test|behaves|of|rooted|parted)(?:\.serial)?\(\s*(?<quote>['"`])(?<title>(?:(?!\k<quote>).)*)\k<quote>/g;
const MARK = /\[(?<mark>[A-Z]\d+)\]/g;

/**
 * What is wrong between the prose of a port and its tests, a sentence each: numbers that are not 1, 2, 3, … in the
 * order of the prose, sentences that no test's title names, and titles that name a sentence that is not there.
 */
export function untied(files: Tree, prose: string, letter: string): string[] {
  const sentences = marksIn(files.get(prose) ?? '', letter);
  const expected = sentences.map((_, index) => `${letter}${index + 1}`);
  const tests = [...files].filter(([path]) => /\.test\.ts$|\/conformance/.test(path));
  const shown = tests.flatMap(([path, text]) =>
    [...text.matchAll(TITLE)].flatMap(({ groups }) =>
      marksIn(groups?.title ?? '', letter).map((mark) => ({ path, mark })),
    ),
  );
  const named = new Set(shown.map(({ mark }) => mark));
  return [
    ...(sentences.length === 0 ? [`${prose} has no numbered sentence`] : []),
    ...(sentences.join() === expected.join()
      ? []
      : [`${prose} numbers its sentences ${sentences.join(', ')}`]),
    ...sentences.filter((mark) => !named.has(mark)).map((mark) => `no test shows [${mark}] of ${prose}`),
    ...shown
      .filter(({ mark }) => !sentences.includes(mark))
      .map(({ path, mark }) => `${path} shows [${mark}], which ${prose} does not have`),
  ];
}

function marksIn(text: string, letter: string): string[] {
  return [...text.matchAll(MARK)]
    .map(({ groups }) => groups?.mark ?? '')
    .filter((mark) => mark.startsWith(letter));
}
