import { ORDER_STATUSES, type OrderKind, termsOf, type WorkerView, warmTerm } from '@morpheo/common';
import { Argument, type Command } from 'commander';
import type { Context, Runner } from '../context.ts';
import { paintStatus } from '../orders/order-text.ts';
import { type Column, idShortener, layOut } from '../terminal/table.ts';
import { ago, oneLine } from '../terminal/text.ts';
import { examples } from './arguments.ts';

/** Adds `morpheo workers`. */
export function addWorkers(program: Command, run: Runner): void {
  const command = program
    .command('workers')
    .summary('show the workers and what they run')
    .description('Show the workers, what they offer to orders that need it, and what they run.')
    .action(run(workers));
  examples(command, [['morpheo workers', 'who is there']]);
}

/** Adds `morpheo queue`. */
export function addQueue(program: Command, run: Runner): void {
  const command = program
    .command('queue')
    .summary('show the queue; pause or resume it')
    .description('Show how many orders are in each state. Pausing starts nothing new; what runs goes on.')
    .addArgument(new Argument('[action]', 'what to do').choices(['pause', 'resume']))
    .action(run(queue));
  examples(command, [
    ['morpheo queue', 'how much there is to do'],
    ['morpheo queue pause', 'start nothing new, for instance before an upgrade'],
  ]);
}

const WORKER_COLUMNS: readonly Column[] = [
  { title: 'worker' },
  { title: 'id' },
  { title: 'state' },
  { title: 'runtime' },
  { title: 'offers' },
  { title: 'learn', align: 'right' },
  { title: 'predict', align: 'right' },
  { title: 'job', align: 'right' },
  { title: 'gpus', align: 'right' },
  { title: 'seen' },
  { title: 'runs' },
];

async function workers({ terminal, compute, signal }: Context): Promise<undefined> {
  const { paint } = terminal;
  const list = await compute().listWorkers({}, { signal });
  await terminal.result(list, () => {
    if (list.items.length === 0) return paint('dim', 'No worker has ever said that it is there.');
    const short = idShortener(list.items.map((worker) => worker.id));
    const rows = list.items.map((worker) => [
      oneLine(worker.name, 40),
      short(worker.id),
      worker.alive ? paint('green', 'alive') : paint('red', 'lost'),
      oneLine(worker.runtime, 20),
      offersText(worker),
      usedSlots(worker, 'learn'),
      usedSlots(worker, 'predict'),
      usedSlots(worker, 'job'),
      usedGpus(worker),
      ago(worker.last_seen_at),
      runsText(worker),
    ]);
    return layOut(paint, WORKER_COLUMNS, rows);
  });
}

/** What it offers beside its runtime, as `--needs` of an order has it. */
function offersText({ arch, labels, warm = [], dedicated = [] }: WorkerView): string {
  const offered = [...termsOf({ arch, labels }), ...warm.map(warmTerm)].join(',');
  const only = dedicated.length === 0 ? '' : ` (only for ${dedicated.join(', ')})`;
  return oneLine(`${offered}${only}`, 100) || '–';
}

function usedSlots(worker: WorkerView, kind: OrderKind): string {
  return `${worker.running.filter((run) => run.kind === kind).length}/${worker.slots[kind]}`;
}

/** What is leased of what there is to lease: GPUs, or the slots of GPUs that orders share. */
function usedGpus({ gpus }: WorkerView): string {
  const all = gpus.devices.length * gpus.slots;
  return all === 0 ? '–' : `${gpus.leased}/${all}`;
}

function runsText({ running }: WorkerView): string {
  return running.map((run) => `${run.order.slice(0, 8)} #${run.attempt}`).join(', ') || '–';
}

async function queue(context: Context, action: 'pause' | 'resume' | undefined): Promise<undefined> {
  const { terminal, compute, signal } = context;
  const { paint } = terminal;
  if (action !== undefined) await compute().pauseQueue({ body: { paused: action === 'pause' } }, { signal });
  const state = await compute().getQueue({}, { signal });
  await terminal.result(state, () => {
    const head = state.paused
      ? paint('yellow', 'The queue is paused: nothing new starts.')
      : paint('green', 'The queue runs.');
    const counts = ORDER_STATUSES.map((status) => {
      const label = paintStatus(paint, status) + ' '.repeat(10 - status.length);
      const count = `${(state.counts[status] ?? 0).toLocaleString('en')}${state.more?.includes(status) === true ? '+' : ''}`;
      return `  ${label}${count.padStart(9)}`;
    });
    return [head, ...counts].join('\n');
  });
}
