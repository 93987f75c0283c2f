import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { errnoOf } from '@morpheo/common';
import type { LineWriter } from './pretty.ts';

/** How much waits for a reader that stands still, in bytes; what comes beyond is dropped. */
const MOST_WAITING = 1024 * 1024;
/** How often a pipe that was full is tried again, in milliseconds. */
const AGAIN_MS = 50;

/** What is written to, as far as a {@link LogOutput} needs it: `writeSync` of a descriptor. */
export type WriteBytes = (bytes: Buffer) => number;

/**
 * Writes lines at once, so that the last words of a process that dies are not lost in a buffer; and never halts or ends
 * the service. What a full pipe does not take waits, up to a bound. What cannot be written (a full disk, a reader that
 * is gone) is dropped and counted, and the next line is tried again.
 */
export class LogOutput implements LineWriter {
  readonly #write: WriteBytes;
  readonly #onTrouble: (problem: string) => void;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #again: NodeJS.Timeout | undefined;
  #dropped = 0;
  #state: 'well' | 'in trouble' = 'well';
  /** After one that was cut, the next begins on a line of its own. */
  #lastLine: 'whole' | 'cut' = 'whole';

  /** `onTrouble` is told once when lines begin to be dropped, and why. */
  constructor(write: WriteBytes, onTrouble: (problem: string) => void) {
    this.#write = write;
    this.#onTrouble = onTrouble;
  }

  /** How many lines were dropped so far. */
  get dropped(): number {
    return this.#dropped;
  }

  write(line: string): void {
    const bytes = Buffer.from(this.#lastLine === 'cut' ? `\n${line}` : line);
    if (this.#waitingBytes + bytes.length > MOST_WAITING) {
      this.#drop('its reader stands still');
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.flush();
  }

  /** Writes what waits, as far as that is taken now. */
  flush(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const rest = this.#writeOne(next);
      if (rest !== undefined) {
        this.#waitingBytes -= next.length - rest.length;
        this.#waiting[0] = rest;
        this.#again ??= setInterval(() => this.flush(), AGAIN_MS).unref();
        return;
      }
      this.#waiting.shift();
      this.#waitingBytes -= next.length;
    }
    clearInterval(this.#again);
    this.#again = undefined;
  }

  /** What of a line is left to write; nothing where it was written or dropped. */
  #writeOne(line: Buffer): Buffer | undefined {
    let written = 0;
    try {
      while (written < line.length) written += this.#write(line.subarray(written));
      this.#lastLine = 'whole';
      this.#state = 'well';
      return undefined;
    } catch (error) {
      if (errnoOf(error) === 'EAGAIN') return line.subarray(written);
      if (written > 0) this.#lastLine = 'cut';
      this.#drop(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  #drop(problem: string): void {
    this.#dropped += 1;
    if (this.#state === 'in trouble') return;
    this.#state = 'in trouble';
    this.#onTrouble(problem);
  }
}

let output: LogOutput | undefined;

/** The one output of this process's logs: its standard output. Trouble is told on standard error. */
export function standardOutput(): LogOutput {
  if (output !== undefined) return output;
  const [lines, trouble] = [withoutWaiting(1), withoutWaiting(2)];
  output = new LogOutput(
    (bytes) => writeSync(lines, bytes),
    (problem) => {
      try {
        writeSync(trouble, `The log cannot be written (${problem}): lines are dropped until it can.\n`);
      } catch {
        // It stands with the output, where nothing can be told either.
      }
    },
  );
  process.once('exit', () => output?.flush());
  return output;
}

/**
 * A descriptor of the same pipe whose writes fail at once where they would wait: a reader that stands still would halt
 * the process. The descriptor itself for all else, which does not wait, and where the pipe may not be opened (it belongs
 * to another user, or is a socket).
 */
function withoutWaiting(descriptor: number): number {
  try {
    if (!fstatSync(descriptor).isFIFO()) return descriptor;
    return openSync(`/dev/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return descriptor;
  }
}
