import { join } from 'node:path';
import type { PictureSet } from '@morpheo/common';
import { type Command, InvalidArgumentError } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { fetchPictures } from '../../pictures/fetch.ts';
import { nameOfSet, setOf } from '../../pictures/sets.ts';
import { showProgress } from '../../terminal/progress.ts';
import { type Column, layOut } from '../../terminal/table.ts';
import { counted, oneLine } from '../../terminal/text.ts';
import { checkFree } from '../../transfer/fetch-output.ts';
import { examples } from '../arguments.ts';
import { addImport } from './import.ts';
import { addClassify, addTrain } from './train.ts';

interface ExportOptions {
  readonly layout: 'folders' | 'dicebox';
  readonly progress?: boolean;
}

/** Adds `morpheo pictures`. */
export function addPictures(program: Command, run: Runner): void {
  const group = program
    .command('pictures')
    .summary('import and export sets of pictures, list them, train networks on them, ask these')
    .description('Pictures with their categories, which networks are trained on.');
  addImport(group, run);
  addTrain(group, run);
  addClassify(group, run);
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

async function exportPictures(
  context: Context,
  text: string,
  folder: string,
  { layout, progress: isShown = false }: ExportOptions,
): Promise<undefined> {
  const { terminal } = context;
  const set = await setOf(context, text);
  await checkFree(folder);
  const target = layout === 'folders' ? folder : join(folder, nameOfSet(set), 'data');
  const transfer = { title: `from ${nameOfSet(set)}`, total: set.pictures, unit: 'pictures' };
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
    nameOfSet(set),
    set.channels === 1 ? 'grey' : 'RGB',
    set.pictures.toLocaleString('en'),
    `${set.categories.length}: ${oneLine(names, 50)}`,
    oneLine(set.owner, 40),
  ];
}

function readLayout(text: string): ExportOptions['layout'] {
  if (text === 'folders' || text === 'dicebox') return text;
  throw new InvalidArgumentError('It should be folders or dicebox.');
}
