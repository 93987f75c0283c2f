import { measured, type OutputFile, RESOURCE_TYPES, type Resource, type ResourceType } from '@morpheo/common';
import { Argument, type Command } from 'commander';
import type { Context, Runner } from '../context.ts';
import { usageError } from '../exit-codes.ts';
import { resolveResource } from '../platform/ids.ts';
import { showProgress, type Transfer } from '../terminal/progress.ts';
import type { Paint } from '../terminal/terminal.ts';
import { humanBytes, localTime, oneLine } from '../terminal/text.ts';
import { bytesOfResource } from '../transfer/download.ts';
import { saveDownload } from '../transfer/save-download.ts';
import { examples } from './arguments.ts';
import { getOutput } from './get-output.ts';

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
      'Show what storage knows of a thing; with -o or --blob also download its bytes. The file appears when all bytes are there and have the right SHA-256; a download that was cut goes on where it stopped. Of a job, or its output: list its files, and download one of them, those below a folder, or all.',
    )
    .addArgument(
      new Argument('<type>', 'what it is; job: the files that an order has left').choices([
        ...RESOURCE_TYPES,
        'job',
      ]),
    )
    .argument('<uuid>', 'its id, or the beginning of it (4 digits or more)')
    .argument('[path]', 'of a job or an output: a file, or a folder with all that is in it')
    .option(
      '-o, --output <file>',
      'download to this file; "-" writes the bytes to stdout. Of a job or an output without a path: into this folder, or, where the name ends with .tar, as an archive',
    )
    .option('--blob', 'download to a file named after the id')
    .option('--force', 'replace the file where it is there already')
    .option('--progress', 'show a progress bar even where stderr is no terminal')
    .action(run(get));
  examples(command, [
    ['morpheo get model f3b0c4d2', 'name, size, digest and time of upload'],
    ['morpheo get prediction 0a5b7c1d -o prediction.txt', 'download it'],
    ['morpheo get algo a1b6e2de -o - | tar -tz', 'see what is in the archive'],
    ['morpheo get job 6c7a2f5e', 'list the files that a job has left'],
    ['morpheo get job 6c7a2f5e weights/a.bin -o a.bin', 'download one of them'],
    ['morpheo get job 6c7a2f5e -o results', 'download all of them into a new folder'],
  ]);
}

async function get(
  context: Context,
  type: ResourceType | 'job',
  text: string,
  path: string | undefined,
  options: GetOptions,
): Promise<undefined> {
  const { terminal } = context;
  if (options.output === '-' && terminal.json) {
    throw usageError('--json and "-o -" would both write to stdout.', 'Download to a file.');
  }
  if (type === 'job' || type === 'output') {
    await showOutput(context, type, text, path, options);
    return;
  }
  if (path !== undefined)
    throw usageError(`${type} ${text} has no files of its own.`, 'Leave the path out; -o names a file here.');
  await getResource(context, type, text, options);
}

async function getResource(
  context: Context,
  type: ResourceType,
  text: string,
  options: GetOptions,
): Promise<void> {
  const { terminal, storage, signal } = context;
  const uuid = await resolveResource(context, type, text);
  const resource = await storage().get({ params: { type, uuid } }, { signal });
  const target = options.output ?? (options.blob === true ? defaultFile(type, uuid) : undefined);
  if (target !== undefined) {
    const what = bytesOfResource(storage(), type, measured(resource));
    const progress = (transfer: Transfer) => showProgress(terminal, transfer, options.progress === true);
    await saveDownload(context, target, { what, progress, signal }, options.force === true);
  }
  if (target === '-') return;
  const shown = target === undefined ? resource : { ...resource, file: target };
  await terminal.result(shown, () => resourceText(terminal.paint, type, resource, target));
}

async function showOutput(
  context: Context,
  type: 'job' | 'output',
  id: string,
  path: string | undefined,
  { output, blob, force = false, progress: showBar = false }: GetOptions,
): Promise<void> {
  const { terminal } = context;
  if (blob === true)
    throw usageError(
      '--blob is not for outputs of jobs.',
      'Name a folder, a file or an archive (.tar) with -o.',
    );
  const shown = await getOutput(context, { type, id, path, target: output, force, showBar });
  if (output === '-') return;
  const { resource, files } = shown;
  const told = { ...resource, ...(files === undefined ? { file: output } : { files }) };
  await terminal.result(told, () =>
    [resourceText(terminal.paint, 'output', resource, output), ...fileLines(files ?? [])].join('\n'),
  );
}

function fileLines(files: readonly OutputFile[]): string[] {
  const sizes = files.map(({ size }) => humanBytes(size));
  const width = Math.max(0, ...sizes.map((text) => text.length));
  return files.map(({ path }, n) => `${(sizes[n] ?? '').padStart(width)}  ${oneLine(path, 2000)}`);
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
    ['failed', resource.failed === true ? 'yes: its job has failed' : undefined],
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
