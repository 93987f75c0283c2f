import { join } from 'node:path';
import { type PictureSet, type PictureSetKey, pictureSetKey } from '@morpheo/common';
import { type Command, InvalidArgumentError } from 'commander';
import type { Context, Runner } from '../context.ts';
import { CliError, EXIT, type ExitCode, usageError } from '../exit-codes.ts';
import { fetchPictures } from '../pictures/fetch.ts';
import { type FoundSet, findSets, sizeOfPng } from '../pictures/folders.ts';
import { sendPictures } from '../pictures/send.ts';
import { showProgress } from '../terminal/progress.ts';
import { type Column, layOut } from '../terminal/table.ts';
import { counted, humanSeconds, oneLine, plain } from '../terminal/text.ts';
import { checkFree } from '../transfer/fetch-output.ts';
import { examples } from './arguments.ts';

type Size = Pick<PictureSetKey, 'width' | 'height'>;

interface ImportOptions {
  readonly name?: string;
  readonly size?: Size;
  readonly rgb?: boolean;
  readonly progress?: boolean;
}

interface ExportOptions {
  readonly layout: 'folders' | 'dicebox';
  readonly progress?: boolean;
}

/** Adds `morpheo pictures`. */
export function addPictures(program: Command, run: Runner): void {
  const group = program
    .command('pictures')
    .summary('import and export sets of pictures, and list them')
    .description('Pictures with their categories, which networks are trained on.');
  addImport(group, run);
  const fetch = group
    .command('export')
    .summary('fetch all pictures of a set into a folder')
    .description('Fetch all pictures of a set, as they were stored: a folder for each category.')
    .argument('<set>', 'its name, or name_WxH, or id')
    .argument('<folder>', 'the folder that is made')
    .option(
      '--layout <layout>',
      'folders: <folder>/<category>; dicebox: <folder>/<name>_<w>x<h>/data/<category>',
      readLayout,
      'folders',
    )
    .option('--progress', 'show a progress bar even where stderr is no terminal')
    .action(run(exportPictures));
  examples(fetch, [['morpheo pictures export fashion ./fashion', 'a folder for each category']]);
  const list = group
    .command('list')
    .summary('list sets of pictures')
    .description('List your sets of pictures, with how many there are in each.')
    .action(run(listSets));
  examples(list, [['morpheo pictures list', 'your sets']]);
}

function addImport(group: Command, run: Runner): void {
  const command = group
    .command('import')
    .summary('store the pictures of a folder')
    .description(
      'Store all PNG and JPEG pictures of a folder that has a folder for each category; or of one in dicebox’s own layout, <name>_<w>x<h>/data/<category>. Pictures of another size are scaled. One that is there already, by its path, is not stored again: an import that was cut goes on when it is run again.',
    )
    .argument('<folder>', 'the folder')
    .option('--name <text>', 'name of the set (default: that of the folder)')
    .option('--size <WxH>', 'its columns and rows (default: those of the first picture)', readSize)
    .option('--rgb', 'keep the colours (default: the pictures become grey)')
    .option('--progress', 'show a progress bar even where stderr is no terminal')
    .action(run(importPictures));
  examples(command, [
    ['morpheo pictures import ./fashion --size 28x28', 'a folder for each category'],
    ['morpheo pictures import ./dicebox_100x100', 'a folder of dicebox, which says name and size'],
  ]);
}

async function importPictures(
  context: Context,
  folder: string,
  options: ImportOptions,
): Promise<ExitCode | undefined> {
  const found = await findSets(folder);
  if (found.length > 1 && options.name !== undefined)
    throw usageError(`--name names one set, and ${folder} has ${found.length}.`);
  const results: Imported[] = [];
  for (const set of found) results.push(await importSet(context, set, options));
  const { terminal } = context;
  await terminal.result(found.length === 1 ? results[0] : { items: results }, () =>
    results.map((one) => importedText(context, one)).join('\n'),
  );
  return results.some(({ refused }) => refused > 0) ? EXIT.refused : undefined;
}

interface Imported {
  readonly set: string;
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly stored: number;
  readonly known: number;
  readonly refused: number;
  readonly seconds: number;
}

async function importSet(context: Context, found: FoundSet, options: ImportOptions): Promise<Imported> {
  const { terminal, pictures, signal } = context;
  const started = performance.now();
  const key = await keyOf(found, options);
  const set = await pictures().createPictureSet(
    { body: { ...key, channels: options.rgb === true ? 3 : 1 } },
    { signal },
  );
  if (found.others > 0) terminal.note(`${counted(found.others, 'file')} without .png or .jpg left out`);
  const counts = { stored: 0, known: 0, refused: 0 };
  const transfer = { title: `to ${nameOf(set)}`, total: found.pictures.length, unit: 'pictures' };
  using progress = showProgress(terminal, transfer, options.progress ?? false);
  for await (const { path, status, code, detail } of sendPictures(context, set, found.pictures, progress)) {
    counts[status === 201 ? 'stored' : status === 200 ? 'known' : 'refused'] += 1;
    if (status > 201) terminal.note(`${oneLine(path)}: ${code ?? status}: ${plain(detail ?? '')}`);
  }
  progress[Symbol.dispose]();
  return { set: set.id, ...key, ...counts, seconds: (performance.now() - started) / 1000 };
}

async function keyOf(found: FoundSet, { name = found.name, size }: ImportOptions): Promise<PictureSetKey> {
  const [first] = found.pictures;
  const own = size ?? found.size ?? (first === undefined ? undefined : await sizeOfPng(first.path));
  if (own === undefined) {
    throw usageError(
      `${first?.path} does not say its size in the way of a PNG.`,
      'Give --size, such as 28x28.',
    );
  }
  const key = pictureSetKey.safeParse({ name, ...own });
  if (key.success) return key.data;
  const [issue] = key.error.issues;
  throw usageError(
    `No set of pictures can be "${oneLine(name, 40)}" of ${own.width} × ${own.height}: ${issue?.path.join('.')}: ${issue?.message}.`,
    'Give --name and --size.',
  );
}

function importedText({ terminal: { paint } }: Context, one: Imported): string {
  const { stored, known, refused, seconds } = one;
  const parts = [
    `${counted(stored, 'picture')} stored`,
    ...(known > 0 ? [`${known.toLocaleString('en')} there before`] : []),
    ...(refused > 0 ? [paint('red', `${refused.toLocaleString('en')} refused`)] : []),
  ];
  const mark = refused > 0 ? paint('red', '✗') : paint('green', '✓');
  return `${mark} ${paint('bold', nameOf(one))}  ${parts.join(', ')} in ${humanSeconds(seconds)}\n  ${paint('dim', one.set)}`;
}

async function exportPictures(
  context: Context,
  text: string,
  folder: string,
  { layout, progress: isShown = false }: ExportOptions,
): Promise<undefined> {
  const { terminal } = context;
  const set = await setOf(context, text);
  await checkFree(folder);
  const target = layout === 'folders' ? folder : join(folder, nameOf(set), 'data');
  const transfer = { title: `from ${nameOf(set)}`, total: set.pictures, unit: 'pictures' };
  using shown = showProgress(terminal, transfer, isShown);
  const fetched = await fetchPictures(context, set, target, shown);
  shown[Symbol.dispose]();
  await terminal.result({ set: set.id, folder: target, pictures: fetched }, () => {
    const { paint } = terminal;
    return `${paint('green', '✓')} ${counted(fetched, 'picture')} in ${target}`;
  });
  return undefined;
}

const COLUMNS: readonly Column[] = [
  { title: 'set' },
  { title: 'colours' },
  { title: 'pictures', align: 'right' },
  { title: 'categories' },
  { title: 'owner' },
];

async function listSets({ terminal, pictures, signal }: Context): Promise<undefined> {
  const { items } = await pictures().listPictureSets({}, { signal });
  await terminal.result({ items }, () => {
    if (items.length === 0) return 'No pictures yet. Store some with: morpheo pictures import';
    return layOut(terminal.paint, COLUMNS, items.map(rowOf));
  });
  return undefined;
}

function rowOf(set: PictureSet): string[] {
  const names = set.categories.map(({ name }) => name).join(', ');
  return [
    nameOf(set),
    set.channels === 1 ? 'grey' : 'RGB',
    set.pictures.toLocaleString('en'),
    `${set.categories.length}: ${oneLine(names, 50)}`,
    oneLine(set.owner, 40),
  ];
}

/** The set that is named by its id, by its name, or by name and size. */
async function setOf({ pictures, signal }: Context, text: string): Promise<PictureSet> {
  const { items } = await pictures().listPictureSets({}, { signal });
  const found = items.filter((set) => [set.id, set.name, nameOf(set)].includes(text));
  const [set] = found;
  if (set === undefined) {
    throw new CliError(
      EXIT.notFound,
      `There is no set of pictures "${oneLine(text, 60)}".`,
      '"morpheo pictures list" shows the sets there are.',
    );
  }
  if (found.length > 1) {
    const some = found.map(nameOf).slice(0, 3).join(', ');
    throw usageError(
      `"${text}" names ${found.length} sets: ${some}.`,
      'Name it with its size, or by its id.',
    );
  }
  return set;
}

/** A set as dicebox calls its folder. */
function nameOf({ name, width, height }: PictureSetKey): string {
  return `${name}_${width}x${height}`;
}

function readSize(text: string): Size {
  const [, width, height] = /^(\d{1,4})x(\d{1,4})$/.exec(text) ?? [];
  if (width !== undefined && height !== undefined) return { width: Number(width), height: Number(height) };
  throw new InvalidArgumentError('It should be columns and rows, such as 28x28.');
}

function readLayout(text: string): ExportOptions['layout'] {
  if (text === 'folders' || text === 'dicebox') return text;
  throw new InvalidArgumentError('It should be folders or dicebox.');
}
