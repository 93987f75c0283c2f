import { type PictureSetKey, pictureSetKey } from '@morpheo/common';
import { type Command, InvalidArgumentError } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { EXIT, type ExitCode, usageError } from '../../exit-codes.ts';
import { type FoundSet, findSets, sizeOfPng } from '../../pictures/folders.ts';
import { sendPictures } from '../../pictures/send.ts';
import { nameOfSet } from '../../pictures/sets.ts';
import { showProgress } from '../../terminal/progress.ts';
import { counted, humanSeconds, oneLine, plain } from '../../terminal/text.ts';
import { examples } from '../arguments.ts';

type Size = Pick<PictureSetKey, 'width' | 'height'>;

interface ImportOptions {
  readonly name?: string;
  readonly size?: Size;
  readonly rgb?: boolean;
  readonly progress?: boolean;
}

/** Adds `morpheo pictures import`. */
export function addImport(group: Command, run: Runner): void {
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
  const transfer = { title: `to ${nameOfSet(set)}`, total: found.pictures.length, unit: 'pictures' };
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
  return `${mark} ${paint('bold', nameOfSet(one))}  ${parts.join(', ')} in ${humanSeconds(seconds)}\n  ${paint('dim', one.set)}`;
}

function readSize(text: string): Size {
  const [, width, height] = /^(\d{1,4})x(\d{1,4})$/.exec(text) ?? [];
  if (width !== undefined && height !== undefined) return { width: Number(width), height: Number(height) };
  throw new InvalidArgumentError('It should be columns and rows, such as 28x28.');
}
