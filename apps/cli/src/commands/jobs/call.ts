import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrorAnswer } from '@morpheo/client';
import {
  type CallAnswer,
  type CallRequest,
  callRequest,
  isPlatformError,
  issueMessage,
  MOST_GPUS,
  MOST_IN_CALL,
  type OrderNeeds,
  OUTPUT_LIMITS,
  PlatformError,
} from '@morpheo/common';
import { pathProblem, shownPath } from '@morpheo/service/archive';
import { duration, size } from '@morpheo/service/config';
import type { Command } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { CliError, exitCodeOf, usageError } from '../../exit-codes.ts';
import { resolveResource } from '../../platform/ids.ts';
import { counted, humanBytes, plain } from '../../terminal/text.ts';
import { checkFree } from '../../transfer/fetch-output.ts';
import { collect, examples, readInteger, readNeeds } from '../arguments.ts';
import { pinImage } from './image.ts';
import { INPUT_FORMS, readInputs } from './inputs.ts';
import { readBy, readPairs } from './options.ts';

interface CallOptions {
  readonly algo?: string;
  readonly model?: string;
  readonly protocol?: CallRequest['warm'];
  readonly input?: readonly string[];
  readonly unpack?: readonly string[];
  readonly env?: readonly string[];
  readonly time?: number;
  readonly wait?: number;
  readonly memory?: number;
  readonly disk?: number;
  readonly gpus?: number;
  readonly needs?: OrderNeeds;
  readonly owner?: string;
  readonly out?: string;
  readonly async?: boolean;
}

/** Adds `morpheo call`. */
export function addCall(program: Command, run: Runner): void {
  const command = program
    .command('call')
    .summary('call a program that is kept warm, and get its answer')
    .description(
      'Call an image, an algorithm or a model on storage that stays in memory between calls, and wait for its answer: the first call starts it, later ones take milliseconds. Inputs below /in/ are of this call, all others, the words behind -- and the variables of the program: who changes one of these gets another program. Nothing is kept of a call, and Ctrl-C ends it. Where it is to outlast you, order it: --async.',
    )
    .usage(
      '[options] <image> [-- <command...>]\n       morpheo call [options] --algo <uuid> [-- <command...>]\n       morpheo call [options] --model <uuid>',
    )
    .argument(
      '[image]',
      'registry.example/name:tag@sha256:…, from a registry that the operator allows; without a digest, the one that the tag has now',
    )
    .argument('[command...]', 'what the program is started with; its entry point stays, as with docker run')
    .option('--algo <uuid>', 'an algorithm on storage, in place of an image')
    .option('--model <uuid>', 'a model on storage, which its own algorithm serves')
    .option('--input <path=what>', `an input: ${INPUT_FORMS}; several times for several`, collect)
    .option('--unpack <path=what>', 'an input that is a tar(.gz): it becomes a folder', collect)
    .option('-e, --env <name=value>', 'a variable of the program; never a secret', collect)
    .option(
      '--time <duration>',
      "how long it may run, such as 30s (default: the platform's)",
      readBy(duration),
    )
    .option(
      '--wait <duration>',
      `how long it may wait for a program that is free, its start included (default: ${MOST_IN_CALL.usualWaitSeconds}s)`,
      readBy(duration),
    )
    .option(
      '--memory <size>',
      "how much memory its program may have (default, and most: the worker's)",
      readBy(size),
    )
    .option('--disk <size>', "how much it may write (default, and most: the worker's)", readBy(size))
    .option('--gpus <n>', 'how many GPUs its program is to have (default: 0)', readInteger(0, MOST_GPUS))
    .option(
      '--needs <terms>',
      'what its worker has to offer: arch=amd64 (or another), label.<key>=<value>',
      readNeeds,
    )
    .option('--protocol <name>', 'what the program speaks: runner, or zeromq as Shepherd’s (default: runner)')
    .option(
      '--owner <name>',
      'by whose rights it is run (default: who calls; another takes the role orchestrator)',
    )
    .option(
      '--out <folder>',
      'put what it left into this folder, which is made (default: a single file goes to stdout)',
    )
    .option('--async', 'order it instead, as a job that outlasts this command')
    .action(run(call));
  examples(command, [
    ['morpheo call --algo a1b6 --input /in/x.json=@x.json', 'print the one file that it leaves'],
    ['morpheo call --model b2c7 --input /in/a.png=@a.png --out answer', 'predict, into the folder answer'],
    [
      'morpheo call registry.example/tool:1 --time 5s --input /in/x=@x -- --fast',
      'an image, for 5 seconds at the most',
    ],
    ['morpheo runners', 'the programs that are warm, and those that would not start'],
  ]);
}

async function call(
  context: Context,
  image: string | undefined,
  words: readonly string[],
  options: CallOptions,
): Promise<undefined> {
  const { terminal, compute, signal } = context;
  const { out } = options;
  if (out !== undefined) {
    if (options.async === true)
      throw usageError('--out needs an answer, and --async does not wait for one.', 'Leave one out.');
    await checkFree(out);
  }
  const body = await requestOf(context, image, words, options);
  const headers = options.async === true ? { prefer: 'respond-async' } : {};
  const answer = await compute()
    .postCall({ headers, body }, { signal })
    .catch((error: unknown) => {
      if (isPlatformError(error)) tellLog(context, error.details);
      throw isPlatformError(error) && isErrorAnswer(error) ? withHint(error) : error;
    });
  if ('uuid' in answer) {
    const id = answer.uuid;
    await terminal.result(
      { id, kind: 'job' },
      () => `${terminal.paint('green', '✓')} job ${terminal.paint('bold', id)}`,
    );
    if (!terminal.json) terminal.note(`Follow it with: morpheo logs -f ${id.slice(0, 8)}`);
    return undefined;
  }
  return await show(context, answer, out);
}

/** The same error, with what to do here about a call that was not answered. */
function withHint(error: PlatformError): PlatformError | CliError {
  const hint = hintFor(error);
  return hint === undefined ? error : new CliError(exitCodeOf(error), error.message, hint, error);
}

function hintFor({ code, details }: PlatformError): string | undefined {
  if (code === 'deadline_passed')
    return details.phase === 'running' ? 'Here that is --time.' : 'Here that is --wait.';
  // The platform is there: it is the program that has ended, or that nobody could run.
  return code === 'unavailable'
    ? 'See the programs that are warm, or broken, with "morpheo runners", and who runs them with "morpheo workers".'
    : undefined;
}

/** What the program printed, or where in it the error was. */
function tellLog({ terminal }: Context, { log, traceback }: Readonly<Record<string, unknown>>): void {
  for (const text of [log, traceback]) if (typeof text === 'string') terminal.note(plain(text).trimEnd());
}

async function show({ terminal }: Context, answer: CallAnswer, out: string | undefined): Promise<undefined> {
  const { outputs, reused, ms } = answer;
  const bytes = outputs.map(({ name, data }) => ({ name, data: Buffer.from(data, 'base64') }));
  if (out !== undefined) await writeInto(out, bytes);
  if (terminal.json) {
    await terminal.result(
      out === undefined ? answer : { ...answer, outputs: bytes.map(({ name }) => name) },
      String,
    );
    return undefined;
  }
  if (answer.log !== undefined) terminal.note(plain(answer.log).trimEnd());
  const [only, another] = bytes;
  if (out !== undefined) {
    const all = bytes.reduce((sum, { data }) => sum + data.length, 0);
    terminal.note(`wrote ${counted(bytes.length, 'file')}, ${humanBytes(all)}, into ${out}`);
  } else if (only !== undefined && another === undefined) {
    await terminal.write(only.data);
  } else {
    for (const { name, data } of bytes) await terminal.line(`${plain(name)}  ${humanBytes(data.length)}`);
    terminal.note(bytes.length === 0 ? 'It has left no files.' : 'Give --out <folder> to have these files.');
  }
  const before =
    reused === 0
      ? 'by a program that was started for it'
      : `by a program that had answered ${counted(reused, 'call')}`;
  terminal.note(`answered in ${ms.ran.toFixed(1)} ms ${before}`);
  return undefined;
}

async function writeInto(
  folder: string,
  files: readonly { readonly name: string; readonly data: Uint8Array }[],
): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const { name, data } of files) {
    const problem = pathProblem(name, OUTPUT_LIMITS);
    // The platform answers no other, and what else answers there is not trusted with more than this folder.
    if (problem !== undefined)
      throw new PlatformError('invalid_request', `The file ${shownPath(name)} ${problem}.`);
    const target = join(folder, name);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, data, { flag: 'wx' });
  }
}

async function requestOf(
  context: Context,
  image: string | undefined,
  words: readonly string[],
  options: CallOptions,
): Promise<CallRequest> {
  const { algo, model, protocol, env, time, wait, memory, disk, gpus, needs, owner } = options;
  const isOnStorage = algo !== undefined || model !== undefined;
  // With an algorithm there is no image: the first word is the first of its command.
  const command = !isOnStorage || image === undefined ? words : [image, ...words];
  if (!isOnStorage && image === undefined)
    throw usageError('Nothing says what is to be called.', 'Name an image, --algo or --model.');
  const limits = {
    ...(time === undefined ? {} : { wall_seconds: seconds(time) }),
    ...(memory === undefined ? {} : { memory_bytes: memory }),
    ...(disk === undefined ? {} : { disk_bytes: disk }),
  };
  const said = {
    ...(isOnStorage || image === undefined ? {} : { image: await pinImage(context, image) }),
    ...(algo === undefined ? {} : { algo: await resolveResource(context, 'algo', algo) }),
    ...(model === undefined ? {} : { model: await resolveResource(context, 'model', model) }),
    ...(command.length === 0 ? {} : { command }),
    ...(env === undefined ? {} : { env: readPairs('--env', env) }),
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
    ...(wait === undefined ? {} : { wait_seconds: seconds(wait) }),
    ...{ warm: protocol, gpus, needs, owner },
  };
  // Before files are uploaded: what is wrong with the rest is told at once.
  check(said);
  const inputs = await readInputs(context, options);
  return check(inputs.length === 0 ? said : { ...said, inputs });
}

function seconds(ms: number): number {
  return Math.max(1, Math.round(ms / 1000));
}

function check(body: object): CallRequest {
  const read = callRequest.safeParse(body);
  if (read.success) return read.data;
  const issues = read.error.issues.map(
    (issue) => [...issue.path, ''].join('.').replace(/\.$/, ': ') + issueMessage(issue),
  );
  throw usageError(`The call is not right. ${issues.join('; ')}.`, 'See "morpheo call --help".');
}
