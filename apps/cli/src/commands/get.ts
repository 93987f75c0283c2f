import { stat } from 'node:fs/promises';
import { measured, RESOURCE_TYPES, type Resource, type ResourceType } from '@morpheo/common';
import { Argument, type Command } from 'commander';
import type { Context, Runner } from '../context.ts';
import { usageError } from '../exit-codes.ts';
import { resolveResource } from '../platform/ids.ts';
import { showProgress } from '../terminal/progress.ts';
import type { Paint } from '../terminal/terminal.ts';
import { humanBytes, humanSeconds, localTime, oneLine } from '../terminal/text.ts';
import { type Download, downloadStream, downloadTo } from '../transfer/download.ts';
import { examples } from './arguments.ts';

interface GetOptions {
  readonly output?: string;
  readonly blob?: boolean;
  readonly force?: boolean;
  readonly progress?: boolean;
}

/** Adds `morpheo get`. */
export function addGet(program: Command, run: Runner): void {
  const command = program
    .command('get')
    .summary('show a thing that storage keeps, or download its bytes')
    .description(
      'Show what storage knows of a thing; with -o or --blob also download its bytes. The file appears when all bytes are there and have the right SHA-256; a download that was cut goes on where it stopped.',
    )
    .addArgument(new Argument('<type>', 'what it is').choices(RESOURCE_TYPES))
    .argument('<uuid>', 'its id, or the beginning of it (4 digits or more)')
    .option('-o, --output <file>', 'download to this file; "-" writes the bytes to stdout')
    .option('--blob', 'download to a file named after the id')
    .option('--force', 'replace the file where it is there already')
    .option('--progress', 'show a progress bar even where stderr is no terminal')
    .action(run(get));
  examples(command, [
    ['morpheo get model f3b0c4d2', 'name, size, digest and time of upload'],
    ['morpheo get prediction 0a5b7c1d -o prediction.txt', 'download it'],
    ['morpheo get algo a1b6e2de -o - | tar -tz', 'see what is in the archive'],
  ]);
}

async function get(
  context: Context,
  type: ResourceType,
  text: string,
  options: GetOptions,
): Promise<undefined> {
  const { terminal, storage, signal } = context;
  if (options.output === '-' && terminal.json) {
    throw usageError('--json and "-o -" would both write to stdout.', 'Download to a file.');
  }
  const uuid = await resolveResource(context, type, text);
  const resource = await storage().get({ params: { type, uuid } }, { signal });
  const target = options.output ?? (options.blob === true ? defaultFile(type, uuid) : undefined);
  const download = (): Download => ({
    storage: storage(),
    type,
    resource: measured(resource),
    progress: (transfer) => showProgress(terminal, transfer, options.progress === true),
    signal,
  });
  if (target === '-') {
    await downloadStream((chunk) => terminal.write(chunk), download());
    return;
  }
  if (target !== undefined) await save(context, target, download(), options.force === true);
  const shown = target === undefined ? resource : { ...resource, file: target };
  await terminal.result(shown, () => resourceText(terminal.paint, type, resource, target));
}

async function save(
  { terminal }: Context,
  target: string,
  download: Download,
  force: boolean,
): Promise<void> {
  if (!force && (await isThere(target))) {
    throw usageError(`${target} is there already.`, 'Name another file with -o, or replace it with --force.');
  }
  const started = performance.now();
  const { resumedFrom } = await downloadTo(target, download);
  const seconds = (performance.now() - started) / 1000;
  const bytes = download.resource.size - resumedFrom;
  const rest = resumedFrom === 0 ? '' : ` (${humanBytes(resumedFrom)} were there already)`;
  terminal.note(`downloaded ${humanBytes(bytes)} in ${humanSeconds(seconds)}${rest}; SHA-256 verified`);
}

function defaultFile(type: ResourceType, uuid: string): string {
  return type === 'data' || type === 'prediction' ? uuid : `${type}-${uuid}.tar.gz`;
}

function resourceText(
  paint: Paint,
  type: ResourceType,
  resource: Resource,
  file: string | undefined,
): string {
  const fields: readonly (readonly [string, string | undefined])[] = [
    [type, paint('bold', resource.uuid)],
    ['name', resource.name],
    ['description', resource.description],
    ['algo', resource.algo],
    ['size', sizeText(resource.size)],
    ['sha256', resource.sha256 ?? 'hidden'],
    ['uploaded', localTime(new Date(resource.timestamp_upload * 1000).toISOString())],
    ['file', file],
  ];
  return fields
    .filter((field): field is readonly [string, string] => field[1] !== undefined)
    .map(
      ([name, value], index) =>
        `${paint('dim', name.padEnd(13))}${index === 0 ? value : oneLine(value, 300)}`,
    )
    .join('\n');
}

function sizeText(size: number | undefined): string {
  return size === undefined ? 'hidden' : `${humanBytes(size)} (${size.toLocaleString('en')} bytes)`;
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
