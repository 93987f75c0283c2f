import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PURPOSES, VISIBILITIES } from '@morpheo/common';
import { Argument, type Command, Option } from 'commander';
import type { Context, Runner } from '../context.ts';
import { type ExitCode, usageError } from '../exit-codes.ts';
import { resolveResource, resolveResources } from '../platform/ids.ts';
import { dataFolder } from '../platform/settings.ts';
import { showProgress } from '../terminal/progress.ts';
import { humanBytes, humanSeconds, oneLine } from '../terminal/text.ts';
import { sendResumable } from '../transfer/resumable-upload.ts';
import { prepareUpload, type ToUpload, UPLOAD_TYPES, type UploadType } from '../transfer/to-upload.ts';
import { sendUpload, type UploadFields } from '../transfer/upload.ts';
import { collect, examples, readUuid } from './arguments.ts';

interface UploadOptions extends Omit<UploadFields, 'problems'> {
  readonly problem?: readonly string[];
  readonly progress?: boolean;
  readonly resume?: boolean;
  readonly quiet?: boolean;
}

interface Uploaded {
  readonly type: UploadType;
  readonly uuid: string;
  readonly sha256: string;
  /** In bytes. */
  readonly size: number;
  readonly source: string;
  readonly name?: string | undefined;
}

const MOST_TEXT_BYTES = 255;
/** What is larger is sent so that a cut costs no more than a chunk. */
const RESUMABLE_BYTES = 8 * 1024 * 1024;
/** The options that each type takes beside `--uuid`. */
const TAKES: Record<UploadType, readonly ('name' | 'description' | 'algo')[]> = {
  problem: ['name', 'description'],
  algo: ['name'],
  model: ['algo'],
  data: [],
};

/** Adds `morpheo upload`. */
export function addUpload(program: Command, run: Runner): void {
  const command = program
    .command('upload')
    .summary('upload a problem, an algorithm, data sets or a model')
    .description(
      'Upload to storage: a folder is packed into a .tar.gz first (.dockerignore is honoured, .git stays out), a file is taken as it is. The SHA-256 is sent along, and storage keeps nothing that does not have it.',
    )
    .addArgument(new Argument('<type>', 'what it is').choices(UPLOAD_TYPES))
    .argument('<path...>', 'folder or .tar.gz; for data: one file or several')
    .option('--name <text>', 'name of the problem or algo (default: that of the folder or file)')
    .option('--description <text>', 'description of the problem (default: its name)')
    .option('--algo <uuid>', 'model: the algorithm that made it')
    .addOption(
      new Option('--visibility <who>', 'who may use it (default: as the operator has set)').choices(
        VISIBILITIES,
      ),
    )
    .addOption(
      new Option(
        '--purpose <what>',
        'data: for what it may be used (default: as the operator has set)',
      ).choices(PURPOSES),
    )
    .option(
      '--problem <uuid>',
      'data of the purpose test: a problem that it tests; several times for several',
      collect,
    )
    .option('--uuid <uuid>', 'the id to have (default: storage makes one)', readUuid)
    .option(
      '--resume',
      `go on where an upload of the same was cut (above ${humanBytes(RESUMABLE_BYTES)}: always)`,
    )
    .option('--progress', 'show a progress bar even where stderr is no terminal')
    .option('-q, --quiet', 'print ids alone')
    .action(run(upload));
  examples(command, [
    ['morpheo upload problem examples/digits/problem --name digits', 'pack and upload a problem workflow'],
    ['morpheo upload algo examples/digits/algos/small-network', 'pack and upload an algorithm'],
    ['morpheo upload data out/test --purpose test --problem 4f6e12ab', 'test data of one problem alone'],
    ['morpheo upload data out/train-* --json', 'several data sets, ids as JSON'],
    ['ALGO=$(morpheo upload algo my-algo -q)', 'keep the id in a variable of the shell'],
  ]);
}

async function upload(
  context: Context,
  type: UploadType,
  paths: readonly string[],
  options: UploadOptions,
): Promise<ExitCode | undefined> {
  checkOptions(type, paths, options);
  const { terminal } = context;
  const algo = options.algo === undefined ? undefined : await resolveResource(context, 'algo', options.algo);
  const problems =
    options.problem === undefined
      ? {}
      : { problem: await resolveResources(context, 'problem', options.problem) };
  const items: Uploaded[] = [];
  for (const path of paths) {
    const uploaded = await uploadOne(context, type, path, { ...options, algo, ...problems });
    items.push(uploaded);
    if (!terminal.json)
      await terminal.line(options.quiet === true ? uploaded.uuid : describe(context, uploaded));
  }
  if (terminal.json) await terminal.result(type === 'data' ? { items } : items[0], String);
  return undefined;
}

/** Uploads one path, as `morpheo upload` does. */
export async function uploadOne(
  context: Context,
  type: UploadType,
  path: string,
  options: UploadOptions,
): Promise<Uploaded> {
  const { terminal, signal, env } = context;
  await using file = await prepareUpload(type, path, { temporary: env.TMPDIR ?? tmpdir(), signal });
  const fields = fieldsOf(type, file, options);
  const started = performance.now();
  const bars = options.progress ?? false;
  if (!bars && terminal.stderr.isTTY !== true) terminal.note(`uploading ${path} (${file.description})`);
  using progress = showProgress(
    terminal,
    { title: `uploading ${oneLine(file.name, 30)}`, total: file.size },
    bars,
  );
  const resumable = options.resume === true || file.size > RESUMABLE_BYTES;
  const sending = { type, file, fields, progress, signal };
  const uuid = resumable
    ? await sendResumable({ ...sending, storage: context.address('storage'), notes: notesOf(context) })
    : await sendUpload(context.storage(), type, file, fields, progress, signal);
  progress[Symbol.dispose]();
  const seconds = (performance.now() - started) / 1000;
  terminal.note(
    `uploaded ${path}: ${file.description} in ${humanSeconds(seconds)}, ${humanBytes(file.size / seconds)}/s`,
  );
  return { type, uuid, sha256: file.sha256, size: file.size, source: path, name: fields.name };
}

function notesOf({ flags, env }: Context): string {
  return join(dataFolder(flags, env), 'cli-uploads');
}

function fieldsOf(type: UploadType, file: ToUpload, options: UploadOptions): UploadFields {
  const takes = TAKES[type];
  const name = takes.includes('name') ? (options.name ?? file.name) : undefined;
  const description = takes.includes('description') ? (options.description ?? name) : undefined;
  for (const [field, text] of Object.entries({ name, description })) {
    if (Buffer.byteLength(text ?? '') > MOST_TEXT_BYTES || text === '') {
      throw usageError(
        `The ${field} has to have 1 to ${MOST_TEXT_BYTES} bytes.`,
        `Give another with --${field}.`,
      );
    }
  }
  const { uuid, algo, visibility, purpose, problem } = options;
  return { uuid, name, description, algo, visibility, purpose, problems: problem?.join(',') };
}

function checkOptions(type: UploadType, paths: readonly string[], options: UploadOptions): void {
  for (const option of ['name', 'description', 'algo'] as const) {
    if (options[option] !== undefined && !TAKES[type].includes(option)) {
      throw usageError(`--${option} does not go with ${type}.`, 'See "morpheo upload --help".');
    }
  }
  for (const option of ['purpose', 'problem'] as const) {
    if (options[option] !== undefined && type !== 'data')
      throw usageError(`--${option} does not go with ${type}.`, 'Only data has a purpose.');
  }
  if ((options.purpose === 'test') !== (options.problem !== undefined)) {
    throw usageError(
      'Data of the purpose test names the problems that it tests, and no other names any.',
      'Give --purpose test with --problem.',
    );
  }
  if (type === 'model' && options.algo === undefined) {
    throw usageError('A model belongs to an algorithm.', 'Name it with --algo.');
  }
  if (paths.length > 1 && type !== 'data') {
    throw usageError(
      `One ${type} is uploaded at a time; ${paths.length} paths are given.`,
      'Several are taken for data alone.',
    );
  }
  if (paths.length > 1 && options.uuid !== undefined) {
    throw usageError('--uuid names one thing, and several paths are given.', 'Upload them one by one.');
  }
}

function describe({ terminal: { paint } }: Context, { type, uuid, sha256, name, source }: Uploaded): string {
  const title = oneLine(name ?? source);
  return `${paint('green', '✓')} ${type.padEnd(8)}${paint('bold', uuid)}  ${title}\n  ${paint('dim', `sha256  ${sha256}`)}`;
}
