import { createReadStream } from 'node:fs';
import { stdin } from 'node:process';
import { createInterface } from 'node:readline';
import { orderLines } from '@morpheo/client';
import type { BatchAnswer } from '@morpheo/common';
import type { Command } from 'commander';
import type { Context, Runner } from '../../context.ts';
import { EXIT, type ExitCode, usageError } from '../../exit-codes.ts';
import { plain } from '../../terminal/text.ts';
import { examples } from '../arguments.ts';

/** Adds `morpheo orders post`. */
export function addPostOrders(orders: Command, run: Runner): void {
  const command = orders
    .command('post')
    .summary('order many things at once, a line of a file each')
    .description(
      'Order many things at once. Each line of the file is an order as JSON: {"kind":"learn","uplet":{…}}, ' +
        '"predict" or "job", its body as the API takes it. An order that is there already is not ordered again, ' +
        'so the same file may be sent again.',
    )
    .argument('<file>', 'the file of lines of JSON (NDJSON); - for what comes in on stdin');
  command.action(run(postOrders));
  examples(command, [
    [
      'morpheo orders post orders.ndjson',
      'order all of them; those that are refused are told with their line',
    ],
    ['morpheo orders post orders.ndjson --json', 'the answer to each line, a line each'],
  ]);
}

async function postOrders(context: Context, file: string): Promise<ExitCode | undefined> {
  const { terminal, compute, signal } = context;
  let taken = 0;
  let refused = 0;
  for await (const answer of orderLines(compute(), linesOf(file), { signal })) {
    if (answer.status === 202) taken += 1;
    else refused += 1;
    if (terminal.json) await terminal.item(answer, () => '');
    else if (answer.status !== 202) await terminal.line(refusalText(answer));
  }
  if (!terminal.json) {
    const counts = `${taken.toLocaleString('en')} orders taken in, ${refused.toLocaleString('en')} refused.`;
    await terminal.line(counts);
  }
  return refused === 0 ? undefined : EXIT.refused;
}

function refusalText({ line, code = 'internal', detail = '' }: BatchAnswer): string {
  return `line ${line}: ${code}: ${plain(detail)}`;
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const input = file === '-' ? stdin : createReadStream(file);
  try {
    yield* createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw usageError(`${file} cannot be read: ${why}.`, 'Name a file of lines of JSON, or - for stdin.');
  }
}
