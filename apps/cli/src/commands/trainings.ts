import type { TrainingSummary, TrainingView } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../context.ts';
import { CliError, EXIT, type ExitCode } from '../exit-codes.ts';
import { paintStatus } from '../orders/order-text.ts';
import { followTraining, trainingNews, trainingText } from '../pictures/train.ts';
import { type Column, idShortener, layOut } from '../terminal/table.ts';
import { ago, oneLine, plain } from '../terminal/text.ts';
import { examples } from './arguments.ts';

const ID = 'its id, or the first digits of it';

/** Adds `morpheo trainings`. */
export function addTrainings(program: Command, run: Runner): void {
  const group = program
    .command('trainings')
    .summary('list, show, watch and cancel trainings on pictures')
    .description(
      'Trainings of networks on sets of pictures. They go on by themselves: nobody has to watch them.',
    );
  const list = group
    .command('list')
    .summary('list trainings, newest first')
    .description('List your trainings, the newest first.')
    .action(run(listTrainings));
  examples(list, [['morpheo trainings list', 'your trainings']]);
  const show = add(group, 'show', 'show a training with its epochs');
  show.action(run(showTraining));
  examples(show, [['morpheo trainings show 6c7a', 'accuracy and loss, epoch by epoch']]);
  const watch = add(group, 'watch', 'watch a training until it has ended, a line for each epoch');
  watch.action(run(watchTraining));
  examples(watch, [['morpheo trainings watch 6c7a', 'exit code 0 when it is done, else 1']]);
  const cancel = add(group, 'cancel', 'end a training');
  cancel.action(run(cancelTraining));
  examples(cancel, [['morpheo trainings cancel 6c7a', 'end it']]);
}

function add(group: Command, name: string, summary: string): Command {
  const description = `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
  return group.command(name).summary(summary).description(description).argument('<training>', ID);
}

const COLUMNS: readonly Column[] = [
  { title: 'training' },
  { title: 'status' },
  { title: 'set' },
  { title: 'pictures', align: 'right' },
  { title: 'network' },
  { title: 'epochs', align: 'right' },
  { title: 'ordered' },
];

async function listTrainings({ terminal, pictures, signal }: Context): Promise<undefined> {
  const page = await pictures().listTrainings({ query: { limit: 200 } }, { signal });
  await terminal.result(page, () => {
    if (page.items.length === 0) return 'No trainings yet. Order one with: morpheo pictures train';
    const short = idShortener(page.items.map(({ id }) => id));
    const rows = page.items.map((one) => [
      short(one.id),
      paintStatus(terminal.paint, one.status),
      oneLine(one.set_name, 40),
      one.pictures.toLocaleString('en'),
      one.network,
      String(one.epochs_wanted),
      ago(one.created_at),
    ]);
    return layOut(terminal.paint, COLUMNS, rows);
  });
}

async function showTraining(context: Context, text: string): Promise<undefined> {
  const { terminal } = context;
  const training = await getTraining(context, await resolveTraining(context, text));
  await terminal.result(training, () =>
    [lineOf(context, training), ...epochTable(context, training), ...endLines(context, training)].join('\n'),
  );
}

async function cancelTraining(context: Context, text: string): Promise<undefined> {
  const { terminal, pictures, signal } = context;
  const params = { training: await resolveTraining(context, text) };
  const training = await pictures().cancelTraining({ params }, { signal });
  await terminal.result(training, () => lineOf(context, training));
}

/** Shows each epoch as it ends, and how the training has ended. The exit code is 0 where it is done. */
async function watchTraining(context: Context, text: string): Promise<ExitCode> {
  const { terminal } = context;
  const now = await getTraining(context, await resolveTraining(context, text));
  const tell = async (view: TrainingView, before: TrainingView): Promise<void> => {
    for (const line of trainingNews(view, before)) {
      if (terminal.json) terminal.note(line);
      else await terminal.line(line);
    }
  };
  await tell(now, { ...now, epochs: [], why: undefined });
  const last = await followTraining(context, now, tell);
  await terminal.result(last, () => trainingText(terminal.paint, last));
  return last.status === 'done' ? EXIT.ok : EXIT.failed;
}

async function getTraining({ pictures, signal }: Context, training: string): Promise<TrainingView> {
  return await pictures().getTraining({ params: { training } }, { signal });
}

async function resolveTraining({ pictures, signal }: Context, text: string): Promise<string> {
  if (/^[0-9a-f-]{36}$/i.test(text)) return text;
  const { items } = await pictures().listTrainings({ query: { limit: 200 } }, { signal });
  const found = items.filter(({ id }) => id.startsWith(text.toLowerCase()));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only.id;
  const what = only === undefined ? 'There is no training' : 'There are several trainings';
  throw new CliError(
    only === undefined ? EXIT.notFound : EXIT.usage,
    `${what} "${oneLine(text, 40)}".`,
    '"morpheo trainings list" shows those there are.',
  );
}

function lineOf({ terminal: { paint } }: Context, training: TrainingSummary): string {
  const { id, status, set_name: set, network, pictures } = training;
  return `training ${paint('bold', id)} is ${paintStatus(paint, status)}  ${network} on ${oneLine(set, 60)}, ${pictures.toLocaleString('en')} pictures`;
}

function endLines(_: Context, { status, failure, why, best, engine, device }: TrainingView): string[] {
  return [
    ...(best === undefined
      ? []
      : [`best: ${percent(best.accuracy)} in epoch ${best.epoch}, by ${engine} (${device})`]),
    ...(why === undefined ? [] : [plain(why)]),
    ...(failure === undefined ? [] : [`${status}: ${plain(failure.message)}`]),
  ];
}

const EPOCH_COLUMNS: readonly Column[] = [
  { title: 'epoch', align: 'right' },
  { title: 'accuracy', align: 'right' },
  { title: '' },
  { title: 'loss', align: 'right' },
  { title: 'seconds', align: 'right' },
];

function epochTable({ terminal: { paint } }: Context, { epochs }: TrainingView): string[] {
  if (epochs.length === 0) return [];
  const line = sparkline(epochs.map(({ accuracy }) => accuracy));
  const rows = epochs.map(({ epoch, accuracy, loss, seconds }, at) => [
    ...[String(epoch), percent(accuracy), line[at] ?? '', loss.toPrecision(4), seconds.toFixed(2)],
  ]);
  return [layOut(paint, EPOCH_COLUMNS, rows)];
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

const LEVELS = [...'▁▂▃▄▅▆▇█'];

/** A character for each value, as high as it lies between the least and the most. */
function sparkline(values: readonly number[]): string[] {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const top = LEVELS.length - 1;
  return values.map(
    (value) => LEVELS[most === least ? top : Math.round(((value - least) / (most - least)) * top)] ?? '',
  );
}
