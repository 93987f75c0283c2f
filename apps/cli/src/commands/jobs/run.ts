import { randomUUID } from 'node:crypto';
import { issueMessage, type Job, job, type OrderView } from '@morpheo/common';
import { duration, size } from '@morpheo/service/config';
import type { Command } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { EXIT, type ExitCode, usageError } from '../../exit-codes.ts';
import { failureDetails, failureLine, resultLine } from '../../orders/order-text.ts';
import { resolveResource } from '../../platform/ids.ts';
import { counted, humanBytes } from '../../terminal/text.ts';
import { checkFree, fetchOutput } from '../../transfer/fetch-output.ts';
import { collect, examples } from '../arguments.ts';
import { followLog } from '../logs.ts';
import { type OrderOptions, orderOptions } from '../new-order.ts';
import { pinImage } from './image.ts';
import { INPUT_FORMS, readBucket, readInputs } from './inputs.ts';
import { readBy, readPairs } from './options.ts';

interface RunOptions extends OrderOptions {
  readonly algo?: string;
  readonly warm?: boolean;
  readonly input?: readonly string[];
  readonly unpack?: readonly string[];
  readonly env?: readonly string[];
  readonly label?: readonly string[];
  readonly time?: number;
  readonly memory?: number;
  readonly disk?: number;
  readonly out?: string;
  readonly outBucket?: string;
  /** False: no result is kept on storage. */
  readonly storage?: boolean;
  readonly callback?: string;
  readonly detach?: boolean;
}

/** Adds `morpheo run`. */
export function addRun(program: Command, run: Runner): void {
  const command = program
    .command('run')
    .summary('run an image, or an algorithm, on files')
    .description(
      'Order a job and follow its log: a container of an image, or of an algorithm on storage, that finds its inputs where you say and keeps what it leaves in /outputs (the variable MORPHEO_OUTPUTS names that folder, also where programs run without a container, as under morpheo up). The words behind -- take the place of the image’s command. It has no network, and no credentials.',
    )
    .usage(
      '[options] <image> [-- <command...>]\n       morpheo run [options] --algo <uuid> [-- <command...>]',
    )
    .argument(
      '[image]',
      'registry.example/name:tag@sha256:…, from a registry that the operator allows; without a digest, the one that the tag has now',
    )
    .argument('[command...]', 'what it runs; its entry point stays, as with docker run')
    .option('--algo <uuid>', 'an algorithm on storage, in place of an image')
    .option(
      '--warm',
      'as a call in a program that goes on afterwards and answers your next ones: inputs below /in/ are of the call, all others of the program',
    )
    .option('--input <path=what>', `an input: ${INPUT_FORMS}; several times for several`, collect)
    .option(
      '--unpack <path=what>',
      'an input that is a tar(.gz): the job finds a folder with what is in it',
      collect,
    )
    .option('-e, --env <name=value>', 'a variable; never a secret, for it is shown with the order', collect)
    .option(
      '--time <duration>',
      "how long it may run, such as 2h (default, and most: the worker's)",
      readBy(duration),
    )
    .option(
      '--memory <size>',
      "how much memory it may have, such as 4GiB (default, and most: the worker's)",
      readBy(size),
    )
    .option(
      '--disk <size>',
      "how much it may write, such as 20GiB (default, and most: the worker's)",
      readBy(size),
    )
    .option('--out-bucket <connection/prefix>', 'copy its outputs there too, with a manifest that comes last')
    .option('--out <folder>', 'fetch its outputs into this folder, which is made, also where it fails')
    .option('--no-storage', 'keep no outputs on storage, where they go to a bucket')
    .option('--label <name=value>', 'a label, to find it again; several times for several', collect)
    .option('--callback <url>', 'a URL that is told of its end, where the operator allows it')
    .option('-d, --detach', 'do not follow it');
  orderOptions(
    command,
    'how many GPUs it is to have (default: 0)',
    "with --detach, print the job's id alone; without, do not say it",
  ).action(run(runJob));
  examples(command, [
    [
      'morpheo run registry.example/tool:1@sha256:… --input /in/a.csv=@a.csv -- --steps 10',
      'run an image on a file',
    ],
    [
      'morpheo run --algo a1b6 --input /data=data:1111 --gpus 1 --detach',
      'run an algorithm on a data set, and go',
    ],
    [
      'morpheo run --algo a1b6 --warm --input /in/text=@a.txt',
      'ask a program that stays warm between your calls',
    ],
    ['morpheo run … --out results -- --steps 10', 'fetch what it leaves into the folder results'],
    ['morpheo runs', 'the jobs, newest first'],
  ]);
}

async function runJob(
  context: Context,
  image: string | undefined,
  words: readonly string[],
  options: RunOptions,
): Promise<ExitCode | undefined> {
  const { terminal, compute, signal } = context;
  await checkOut(options);
  const body = await jobOf(context, image, words, options);
  const accepted = await compute().postJob({ body }, { signal });
  const id = accepted.uuid;
  if (options.detach === true) {
    const kept = { id, kind: 'job', ...(accepted.output === undefined ? {} : { output: accepted.output }) };
    await terminal.result(kept, () =>
      options.quiet ? id : `${terminal.paint('green', '✓')} job ${terminal.paint('bold', id)}`,
    );
    if (options.quiet !== true && !terminal.json)
      terminal.note(`Follow it with: morpheo logs -f ${id.slice(0, 8)}`);
    return undefined;
  }
  if (options.quiet !== true) terminal.note(`job ${id}`);
  return await followJob(context, id, options.out);
}

/** Before anything is sent: a folder that is in the way would be told when the job has ended. */
async function checkOut({ out, detach, storage }: RunOptions): Promise<void> {
  if (out === undefined) return;
  if (detach === true)
    throw usageError('--out fetches what a job leaves, and --detach does not wait for it.', 'Leave one out.');
  if (storage === false)
    throw usageError('--out fetches from storage, and --no-storage keeps nothing there.', 'Leave one out.');
  await checkFree(out);
}

/** Prints what a job prints until it ends, and then how it ended; the exit code is 0 for one that is done. */
async function followJob(context: Context, id: string, out: string | undefined): Promise<ExitCode> {
  const { terminal } = context;
  const order = await followLog(context, id);
  if (terminal.json) await terminal.item(order, String);
  else {
    const { failure } = order;
    if (failure !== undefined) {
      const { log_tail: _printed, ...told } = failure;
      terminal.note(terminal.paintNote('red', failureLine(failure)));
      for (const line of failureDetails(terminal.paintNote, { ...order, failure: told })) terminal.note(line);
    }
    const result = resultLine(order);
    if (result !== undefined) terminal.note(result);
  }
  if (out !== undefined) await fetchInto(context, order, out);
  else if (order.result !== undefined && order.job?.outputs?.storage !== false && !terminal.json)
    terminal.note(`Fetch what it left with: morpheo get job ${id.slice(0, 8)} -o <folder>`);
  return order.status === 'done' ? EXIT.ok : EXIT.failed;
}

async function fetchInto(context: Context, { result }: OrderView, folder: string): Promise<void> {
  if (result === undefined) {
    context.terminal.note('It has left nothing that could be fetched.');
    return;
  }
  const { files, bytes } = await fetchOutput(context, result.uuid, folder);
  context.terminal.note(`fetched ${counted(files, 'file')}, ${humanBytes(bytes)}, into ${folder}`);
}

async function jobOf(
  context: Context,
  image: string | undefined,
  words: readonly string[],
  options: RunOptions,
): Promise<Job> {
  const { algo, warm, env, label, time, memory, disk, outBucket, storage, callback } = options;
  // With an algorithm there is no image: the first word is the first of its command.
  const command = algo === undefined || image === undefined ? words : [image, ...words];
  if (algo === undefined && image === undefined)
    throw usageError('Nothing says what is to run.', 'Name an image, or an algorithm with --algo.');
  const pinned = algo === undefined && image !== undefined ? await pinImage(context, image) : undefined;
  const limits = {
    ...(time === undefined ? {} : { wall_seconds: Math.max(1, Math.round(time / 1000)) }),
    ...(memory === undefined ? {} : { memory_bytes: memory }),
    ...(disk === undefined ? {} : { disk_bytes: disk }),
  };
  const outputs = {
    ...(storage === false ? { storage: false } : {}),
    ...(outBucket === undefined ? {} : { bucket: readBucket(outBucket) }),
  };
  const { gpus, needs, owner, priority, group } = options;
  const said = {
    uuid: options.uuid ?? randomUUID(),
    ...(algo === undefined ? { image: pinned } : { algo: await resolveResource(context, 'algo', algo) }),
    ...(warm === true ? { warm: 'runner' } : {}),
    ...(command.length === 0 ? {} : { command }),
    ...(env === undefined ? {} : { env: readPairs('--env', env) }),
    ...(label === undefined ? {} : { labels: readPairs('--label', label) }),
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
    ...(Object.keys(outputs).length === 0 ? {} : { outputs }),
    ...{ gpus, needs, owner, priority, group, callback },
  };
  // Before files are uploaded: what is wrong with the rest is told at once.
  check(said);
  const inputs = await readInputs(context, options);
  return check(inputs.length === 0 ? said : { ...said, inputs });
}

function check(body: object): Job {
  const read = job.safeParse(body);
  if (read.success) return read.data;
  const issues = read.error.issues.map((issue) => `${issue.path.join('.')}: ${issueMessage(issue)}`);
  throw usageError(`The job is not right. ${issues.join('; ')}.`, 'See "morpheo run --help".');
}
