import { type LogChunk, LogText, type OrderView } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../context.ts';
import { followOrder } from '../orders/follow.ts';
import { resolveOrder } from '../platform/ids.ts';
import { ShownLog } from '../terminal/shown-log.ts';
import { jsonText } from '../terminal/text.ts';
import { examples, readInteger } from './arguments.ts';

interface LogOptions {
  readonly follow?: boolean;
  readonly attempt?: number;
}

/** Adds `morpheo logs`. */
export function addLogs(program: Command, run: Runner): void {
  const command = program
    .command('logs')
    .summary('print the log of an order')
    .description("Print an order's log: what its containers and the platform said, as text.")
    .argument('<order>', 'the order: its id, or the beginning of it (4 digits or more)')
    .option('-f, --follow', 'go on until the order ends')
    .option('--attempt <n>', 'only this attempt', readInteger(1, 1_000_000))
    .action(run(logs));
  examples(command, [
    ['morpheo logs 6c7a2f5e -f', 'follow the log of a running order'],
    ['morpheo logs 6c7a2f5e --attempt 1 > attempt-1.log', 'keep the log of the first attempt'],
    [
      'morpheo logs 6c7a2f5e -f --json',
      'a piece a line: at, attempt, step, stream, text (without -f: text alone)',
    ],
  ]);
}

async function logs(context: Context, text: string, options: LogOptions): Promise<undefined> {
  const id = await resolveOrder(context, text);
  if (options.follow === true) await followLog(context, id, options.attempt);
  else await printWhole(context, id, options.attempt);
}

/** Prints the log of an order, of one attempt or of all, until the order ends; resolves with the order as it is then. */
export async function followLog(context: Context, id: string, attempt?: number): Promise<OrderView> {
  const { terminal, compute } = context;
  const wanted = (chunk: LogChunk) => attempt === undefined || chunk.attempt === attempt;
  const log = new LogText();
  const shown = new ShownLog(terminal);
  const order = await followOrder(
    context,
    id,
    (after, signal) =>
      compute().orderLogEvents({ params: { id }, headers: { 'last-event-id': after } }, { signal }),
    async (chunk) => {
      if (!wanted(chunk)) return;
      await terminal.write(terminal.json ? `${jsonText(chunk)}\n` : shown.next(log.next(chunk)));
    },
  );
  if (!terminal.json) await terminal.write(shown.end());
  return order;
}

async function printWhole(context: Context, id: string, attempt: number | undefined): Promise<void> {
  const { terminal, compute, signal } = context;
  const answer = await compute().orderLog({ params: { id }, query: { attempt } }, { signal });
  const decoder = new TextDecoder();
  const shown = new ShownLog(terminal);
  for await (const bytes of answer.body ?? []) {
    const piece = decoder.decode(bytes, { stream: true });
    await terminal.write(terminal.json ? `${jsonText({ text: piece })}\n` : shown.next(piece));
  }
  if (!terminal.json) await terminal.write(shown.end());
}
