/** A journey of ARCHITECTURE.md §3: its files from the root, in the order in which they are entered. */
export interface Journey {
  readonly title: string;
  readonly files: readonly string[];
}

/** The journeys of the page: each `###` heading of §3 with a table whose last column names files. */
export function journeysOf(page: string): Journey[] {
  return sectionOf(page, 3)
    .split(/^### /m)
    .slice(1)
    .map((text) => ({
      title: text.split('\n', 1)[0] ?? '',
      files: [...text.matchAll(/^\| \d+ \|.*\|(?<files>[^|]*)\|$/gm)].flatMap(({ groups }) =>
        pathsIn(groups?.files ?? ''),
      ),
    }))
    .filter(({ files }) => files.length > 0);
}

/** How many files a reader of a journey opens, and how often one that was left is entered again. */
export function countsOf({ files }: Journey): { readonly opened: number; readonly jumps: number } {
  const entries = files.filter((file, index) => file !== files[index - 1]);
  const opened = new Set(entries).size;
  return { opened, jumps: entries.length - opened };
}

/** The text of a numbered section of the page. */
export function sectionOf(page: string, number: number): string {
  const [, from = ''] = page.split(new RegExp(`^## ${number}\\. .*$`, 'm'));
  return from.split(/^## /m, 1)[0] ?? '';
}

/** The paths that a text names in backticks, from the root; `compute-api/x.ts` is `apps/compute-api/src/x.ts`. */
export function pathsIn(text: string): string[] {
  return [...text.matchAll(/`(?<path>[\w.-]+\/[\w./-]*)`/g)].map(({ groups }) =>
    fromRoot(groups?.path ?? ''),
  );
}

const APPS = /^(?:compute-api|compute-worker|storage-api|shepherd-api|dicebox|cli|standalone)\//;
const LIBS = /^(?:common|client|service)\//;

function fromRoot(path: string): string {
  const [name = '', ...rest] = path.split('/');
  const inside = [name, 'src', ...rest].join('/');
  if (APPS.test(path)) return `apps/${inside}`;
  return LIBS.test(path) ? `libs/${inside}` : path;
}
