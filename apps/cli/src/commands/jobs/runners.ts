import type { RunnerView } from '@morpheo/common';
import { Argument, type Command } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { CliError, EXIT, usageError } from '../../exit-codes.ts';
import { type Column, idShortener, layOut } from '../../terminal/table.ts';
import { humanBytes, humanSeconds, oneLine } from '../../terminal/text.ts';
import { examples } from '../arguments.ts';

/** Adds `morpheo runners`. */
export function addRunners(program: Command, run: Runner): void {
  const command = program
    .command('runners')
    .summary('show the programs that are kept warm; have one started again')
    .description(
      'Show the programs that workers keep warm for calls and predictions: yours, or for an admin all. One whose last three starts have failed is "broken": calls of it fail at once, with the end of its log, until it is named by another image, algorithm, model, command or variable, or until you have it started again with retry and its key.',
    )
    .addArgument(new Argument('[action]', 'what to do').choices(['retry']))
    .argument('[key]', 'of a runner, or its beginning')
    .action(run(runners));
  examples(command, [
    ['morpheo runners', 'what is warm, and for whom'],
    ['morpheo runners retry 3f1d8a52', 'start a broken one again at its next call'],
  ]);
}

const COLUMNS: readonly Column[] = [
  { title: 'key' },
  { title: 'state' },
  { title: 'owner' },
  { title: 'program' },
  { title: 'model' },
  { title: 'memory', align: 'right' },
  { title: 'gpus', align: 'right' },
  { title: 'age', align: 'right' },
  { title: 'calls', align: 'right' },
  { title: 'waiting', align: 'right' },
  { title: 'worker' },
];

async function runners(
  { terminal, compute, signal }: Context,
  action: 'retry' | undefined,
  key: string | undefined,
): Promise<undefined> {
  const { paint } = terminal;
  const { items } = await compute().listRunners({}, { signal });
  if (action === 'retry') {
    const params = { key: theKey(items, key) };
    await compute().retryRunner({ params }, { signal });
    await terminal.result(params, () => `It is started again at its next call: ${params.key.slice(0, 8)}.`);
    return undefined;
  }
  await terminal.result({ items }, () => {
    if (items.length === 0)
      return paint('dim', 'Nothing is kept warm. Call something: see "morpheo call --help".');
    const short = idShortener(items.map((runner) => runner.key));
    const rows = items.map((runner) => [
      short(runner.key),
      stateText(paint, runner.state),
      runner.owner === '' ? '–' : oneLine(runner.owner, 40),
      programText(runner.image),
      runner.model === undefined ? '–' : oneLine(runner.model.slice(0, 8)),
      runner.memory_bytes === undefined ? '–' : humanBytes(runner.memory_bytes),
      runner.gpus === 0 ? '–' : `${runner.gpus}`,
      humanSeconds(runner.age_seconds),
      runner.calls.toLocaleString('en'),
      runner.waiting === 0 ? '–' : runner.waiting.toLocaleString('en'),
      oneLine(runner.worker_name, 40),
    ]);
    return [layOut(paint, COLUMNS, rows), ...problems(items, short)].join('\n');
  });
  return undefined;
}

/** Why those are broken that are, a line each. */
function problems(items: readonly RunnerView[], short: (key: string) => string): string[] {
  return items
    .filter(({ state, problem }) => state === 'broken' && problem !== undefined)
    .map(({ key, problem = '' }) => `${short(key)}: ${oneLine(problem, 300)}`);
}

function theKey(items: readonly RunnerView[], text: string | undefined): string {
  if (text === undefined || !/^[0-9a-f]{4,64}$/.test(text))
    throw usageError(
      text === undefined ? 'Nothing says which runner is meant.' : `${text} is no key of a runner.`,
      'Give its key, or its first 4 digits or more, as "morpheo runners" shows it: morpheo runners retry <key>.',
    );
  const keys = new Set(items.map(({ key }) => key).filter((key) => key.startsWith(text)));
  const [key, another] = keys;
  if (key === undefined)
    throw new CliError(
      EXIT.notFound,
      `No runner has a key that begins with ${text}.`,
      '"morpheo runners" shows them.',
    );
  if (another !== undefined)
    throw usageError(`${text} begins the keys of several runners.`, 'Give more digits.');
  return key;
}

const COLOURS = { starting: 'yellow', idle: 'green', busy: 'cyan', ending: 'dim', broken: 'red' } as const;

function stateText(paint: Context['terminal']['paint'], state: RunnerView['state']): string {
  return paint(COLOURS[state], state);
}

/** The name and tag of an image; the first digits of an algorithm's id. */
function programText(image: string): string {
  const [, type, id] = /^(algo) ([0-9a-f-]{36})$/.exec(image) ?? [];
  if (type !== undefined && id !== undefined) return `${type} ${id.slice(0, 8)}`;
  return oneLine(image.replace(/@sha256:[0-9a-f]+$/, ''), 60);
}
