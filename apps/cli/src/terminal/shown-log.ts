import { plain } from './text.ts';

/** What is looked at in a log: line ends, carriage returns, colours. All else that steers a terminal is made harmless. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const MARKS = /(?<end>\r*\n)|(?<back>\r+)|\u001b\[(?<look>[0-9;:]*)m/g;
/** What may be the beginning of one of these. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const BEGUN = /(\r+|\u001b(\[[0-9;:]{0,64})?)$/;
const ERASE_LINE = '\u001b[K';
const RESET = '\u001b[0m';
/** A line that goes to a file is held until its end is known, but no longer than this. */
const HELD_LENGTH = 65_536;

/** Where a log is shown. */
export interface LogPlace {
  /** A terminal that a person looks at. */
  readonly interactive: boolean;
  /** Whether colours are wanted there. */
  readonly colours: boolean;
}

/**
 * The text of a log as it is shown, piece by piece. On a terminal, colours are kept, and a carriage return begins its line
 * anew; nothing else can steer the terminal. Elsewhere colours are left out, and of a line with carriage returns (a
 * progress bar) the last piece is kept.
 */
export class ShownLog {
  readonly #place: LogPlace;
  /** Of what has come, what cannot be shown yet. */
  #rest = '';
  /** What ends the looks that were shown. */
  #reset = '';

  constructor(place: LogPlace) {
    this.#place = place;
  }

  /** What is to be written for the next piece. */
  next(text: string): string {
    const all = this.#rest + text;
    return this.#place.interactive ? this.#onTerminal(all) : this.#elsewhere(all);
  }

  /** What is to be written at the end. */
  end(): string {
    const rest = this.#rest;
    this.#rest = '';
    if (!this.#place.interactive) return lastPiece(withoutColours(rest));
    return (rest.startsWith('\r') ? '' : plain(rest)) + this.#reset;
  }

  #onTerminal(text: string): string {
    const begun = BEGUN.exec(text)?.index ?? text.length;
    this.#rest = text.slice(begun);
    let shown = '';
    let at = 0;
    for (const match of text.slice(0, begun).matchAll(MARKS)) {
      shown += plain(text.slice(at, match.index)) + this.#mark(match.groups ?? {});
      at = match.index + match[0].length;
    }
    return shown + plain(text.slice(at, begun));
  }

  #mark({ end, back, look = '' }: Readonly<Record<string, string | undefined>>): string {
    const { colours } = this.#place;
    if (end !== undefined) return '\n';
    if (back !== undefined) return colours ? `\r${ERASE_LINE}` : '\r';
    if (!colours || hides(look)) return '';
    this.#reset = RESET;
    return `\u001b[${look}m`;
  }

  #elsewhere(text: string): string {
    const lines = text.split('\n');
    const open = lines.pop() ?? '';
    const begun = BEGUN.exec(open)?.index ?? open.length;
    const held = lastPiece(open.slice(0, begun)) + open.slice(begun);
    const isLong = held.length > HELD_LENGTH;
    this.#rest = isLong ? '' : held;
    const whole = lines.map((line) => `${lastPiece(withoutColours(line))}\n`).join('');
    return isLong ? whole + withoutColours(held) : whole;
  }
}

function withoutColours(text: string): string {
  return text.replaceAll(MARKS, (mark, ...rest) => {
    const { look } = rest.at(-1) as { look?: string };
    return look === undefined ? mark : '';
  });
}

/** What follows the last carriage return that something follows. */
function lastPiece(line: string): string {
  const text = line.replace(/\r+$/, '');
  return text.slice(text.lastIndexOf('\r') + 1);
}

/** Whether a look makes text unseen: 8 by itself, not as a part of a colour (`38;5;8`, `38;2;8;8;8`). */
function hides(look: string): boolean {
  const others = look.replaceAll(/[345]8[;:](5[;:]\d*|2([;:]\d*){3})/g, '');
  return others.split(/[;:]/).some((code) => Number(code) === 8);
}
