import { SingleBar } from 'cli-progress';
import type { OutputStream, Terminal } from './terminal.ts';
import { humanBytes, humanSeconds } from './text.ts';

/** How far a transfer is. */
export interface Progress {
  /** So many bytes, or other things, more have gone over. */
  add(count: number): void;
  /** Ends what is shown; the last word is the caller's. */
  [Symbol.dispose](): void;
}

/** What is under way. */
export interface Transfer {
  readonly title: string;
  /** In bytes, or in `unit`. */
  readonly total: number;
  /** How much of it was there before. */
  readonly start?: number;
  /** What is counted, such as `pictures`; bytes where absent. */
  readonly unit?: string;
}

const LINE_EVERY_MS = 5_000;
const BAR_WIDTH = 24;

/** Shows a transfer on stderr: a bar with rate and time left on a terminal or where `forced`, else a line now and then. */
export function showProgress(terminal: Terminal, transfer: Transfer, forced: boolean): Progress {
  return forced || terminal.stderr.isTTY === true
    ? showBar(terminal.stderr, transfer)
    : showLines(terminal, transfer);
}

/** The text of a transfer's state: share, amount, rate and time left. */
export function describeProgress(transfer: Transfer, value: number, seconds: number): string {
  const share = transfer.total === 0 ? 1 : value / transfer.total;
  const rate = seconds > 0 ? (value - (transfer.start ?? 0)) / seconds : 0;
  const left =
    rate > 0 && value < transfer.total ? `, ${humanSeconds((transfer.total - value) / rate)} left` : '';
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  const { unit, total } = transfer;
  const shown = unit === undefined ? humanBytes : (count: number) => Math.round(count).toLocaleString('en');
  const of = unit === undefined ? shown(total) : `${shown(total)} ${unit}`;
  return `${percent}  ${shown(value)} of ${of}, ${shown(rate)}/s${left}`;
}

function showBar(stream: OutputStream, transfer: Transfer): Progress {
  const started = performance.now();
  const bar = new SingleBar({
    stream,
    noTTYOutput: true,
    notTTYSchedule: 500,
    hideCursor: true,
    gracefulExit: false,
    clearOnComplete: true,
    emptyOnZero: false,
    format: (_options, parameters) => {
      const filled = Math.round(parameters.progress * BAR_WIDTH);
      const drawn = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
      const seconds = (performance.now() - started) / 1000;
      return `${transfer.title}  ${drawn} ${describeProgress(transfer, parameters.value, seconds)}`;
    },
  });
  bar.start(transfer.total, transfer.start ?? 0);
  return {
    add: (count) => bar.increment(count),
    [Symbol.dispose]: () => bar.stop(),
  };
}

function showLines(terminal: Terminal, transfer: Transfer): Progress {
  const started = performance.now();
  let value = transfer.start ?? 0;
  let shown = started;
  return {
    add(count) {
      value += count;
      const now = performance.now();
      if (now - shown < LINE_EVERY_MS) return;
      shown = now;
      terminal.note(`${transfer.title} ${describeProgress(transfer, value, (now - started) / 1000)}`);
    },
    [Symbol.dispose]() {},
  };
}
