import { stripVTControlCharacters } from 'node:util';

const LINES = 40;
const LINE_LENGTH = 2000;
/** Of a line that has not ended, so much is kept: sequences for terminals are taken out only at its end. */
const UNFINISHED_LENGTH = 4 * LINE_LENGTH;

/**
 * The last lines of what a step prints, as a terminal would leave them: what a failure shows of the log. Of a line with
 * carriage returns (a progress bar) the last piece counts; colours and other sequences for terminals are left out; of a
 * long line the end is kept, which is where an error says what is wrong. Bounded in number and length.
 */
export class LogTail {
  readonly #lines: string[] = [];
  readonly #unfinished = new Map<string, string>();

  /** Takes the next text of a stream; lines of different streams stand in the order in which they ended. */
  add(stream: string, text: string): void {
    const lines = ((this.#unfinished.get(stream) ?? '') + text).split('\n');
    this.#unfinished.set(stream, lastPiece(lines.pop() ?? '').slice(-UNFINISHED_LENGTH));
    for (const line of lines.slice(-LINES)) this.#lines.push(shown(line));
    this.#lines.splice(0, this.#lines.length - LINES);
  }

  /** At most 40 lines of at most 2000 characters, the last of each stream also where it has not ended. */
  lines(): string[] {
    const unfinished = [...this.#unfinished.values()].map(shown).filter((line) => line !== '');
    return [...this.#lines, ...unfinished].slice(-LINES);
  }
}

/** What follows the last carriage return that something follows; one at the end stays, since more may come. */
function lastPiece(line: string): string {
  const text = line.replace(/\r+$/, '');
  const piece = text.slice(text.lastIndexOf('\r') + 1);
  return text.length < line.length ? `${piece}\r` : piece;
}

function shown(line: string): string {
  const text = stripVTControlCharacters(lastPiece(line)).replace(/\r$/, '');
  return text.length <= LINE_LENGTH ? text : `…${text.slice(1 - LINE_LENGTH)}`;
}
