const LINES = 40;
const LINE_LENGTH = 2000;

/** The last lines of what a step prints, bounded in number and length: what a failure shows of the log. */
export class LogTail {
  readonly #lines: string[] = [];
  readonly #unfinished = new Map<string, string>();

  /** Takes the next text of a stream; lines of different streams stand in the order in which they ended. */
  add(stream: string, text: string): void {
    const lines = ((this.#unfinished.get(stream) ?? '') + text).split('\n');
    this.#unfinished.set(stream, shorten(lines.pop() ?? ''));
    for (const line of lines.slice(-LINES)) this.#lines.push(shorten(line.replace(/\r$/, '')));
    this.#lines.splice(0, this.#lines.length - LINES);
  }

  /** At most 40 lines of at most 2000 characters, the last of each stream also where it has not ended. */
  lines(): string[] {
    const unfinished = [...this.#unfinished.values()].filter((line) => line !== '');
    return [...this.#lines, ...unfinished].slice(-LINES);
  }
}

function shorten(line: string): string {
  return line.length <= LINE_LENGTH ? line : `${line.slice(0, LINE_LENGTH - 1)}…`;
}
