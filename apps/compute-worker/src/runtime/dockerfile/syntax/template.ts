import { buildFailure, shown } from '../failure.ts';
import type { EscapeMark } from './lines.ts';

/** A text with references to variables: its quotes and escapes are resolved. */
export type Template = readonly (string | Reference)[];

/** What stands for a variable's value, and what is taken in its place. */
export interface Reference {
  readonly name: string;
  readonly otherwise?: Otherwise;
}

/** As in a shell: `-` the text where the variable is not set, `+` where it is, `?` an error with the text where it is not. */
export interface Otherwise {
  readonly operator: '-' | '+' | '?';
  /** With a colon before the operator: an empty variable is as one that is not set. */
  readonly emptyIsUnset: boolean;
  readonly text: Template;
}

const DEEPEST = 20;

/**
 * Reads a text in which Docker replaces variables: `$NAME`, `${NAME}`, and `${NAME:-text}` with `-`, `+` and `?`, with
 * or without the colon; quotes and escapes as in a shell. Throws `build_failed` naming the line for all else that
 * begins with a dollar sign, and for quotes that do not end.
 */
export function parseTemplate(text: string, escapeMark: EscapeMark, line: number): Template {
  const reader = new TemplateReader(text, escapeMark, line);
  return reader.read(undefined);
}

class TemplateReader {
  readonly #text: string;
  readonly #escapeMark: EscapeMark;
  readonly #line: number;
  #at = 0;
  #depth = 0;

  constructor(text: string, escapeMark: EscapeMark, line: number) {
    this.#text = text;
    this.#escapeMark = escapeMark;
    this.#line = line;
  }

  /** Reads until the end, or until the character that ends it, which is passed. */
  read(end: '}' | undefined): Template {
    const pieces = new Pieces();
    for (;;) {
      const character = this.#text[this.#at];
      if (character === undefined && end === undefined) return pieces.all;
      if (character === undefined) throw this.#wrong(`a \${ that no } ends`);
      if (character === end) {
        this.#at += 1;
        return pieces.all;
      }
      if (character === "'") pieces.add(this.#single());
      else if (character === '"') this.#double(pieces);
      else if (character === '$') pieces.add(this.#reference());
      else pieces.add(this.#plain());
    }
  }

  #plain(): string {
    if (this.#text[this.#at] === this.#escapeMark) this.#at += 1;
    const character = this.#text[this.#at] ?? '';
    this.#at += 1;
    return character;
  }

  #single(): string {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end < 0) throw this.#wrong("a ' that no other ends");
    const inside = this.#text.slice(this.#at + 1, end);
    this.#at = end + 1;
    return inside;
  }

  #double(pieces: Pieces): void {
    this.#at += 1;
    for (;;) {
      const character = this.#text[this.#at];
      if (character === undefined) throw this.#wrong('a " that no other ends');
      if (character === '$') {
        pieces.add(this.#reference());
        continue;
      }
      this.#at += 1;
      if (character === '"') return;
      const next = this.#text[this.#at];
      const isEscape = character === this.#escapeMark && next !== undefined;
      if (isEscape && (next === '"' || next === '$' || next === this.#escapeMark)) {
        pieces.add(next);
        this.#at += 1;
      } else pieces.add(character);
    }
  }

  #reference(): string | Reference {
    const rest = this.#text.slice(this.#at + 1);
    const bare = /^[A-Za-z_][A-Za-z0-9_]*/.exec(rest)?.[0];
    if (bare !== undefined) {
      if (/^\P{ASCII}/u.test(rest.slice(bare.length)))
        throw this.#wrong(`$${bare} with a letter behind it that no name has`);
      this.#at += 1 + bare.length;
      return { name: bare };
    }
    if (rest.startsWith('{')) return this.#braced(rest.slice(1));
    if (/^[0-9@*#?$!-]|^\P{ASCII}/u.test(rest))
      throw this.#wrong(`$${rest.slice(0, 1)}, which is no variable`);
    this.#at += 1;
    return '$';
  }

  #braced(rest: string): Reference {
    const [all = '', name = '', colon = '', operator = ''] =
      /^([A-Za-z_][A-Za-z0-9_]*)(?:(:?)([-+?])|\})/.exec(rest) ?? [];
    if (name === '') throw this.#wrong(`\${${rest.slice(0, 20)}`);
    this.#at += 2 + all.length;
    if (operator !== '-' && operator !== '+' && operator !== '?') return { name };
    this.#depth += 1;
    if (this.#depth > DEEPEST) throw this.#wrong(`more than ${DEEPEST} \${ in one another`);
    const text = this.read('}');
    this.#depth -= 1;
    return { name, otherwise: { operator, emptyIsUnset: colon === ':', text } };
  }

  #wrong(what: string): Error {
    const remedy = `of variables, $NAME, \${NAME}, \${NAME:-text} and \${NAME:+text} are understood; ${this.#escapeMark}$ is a dollar sign`;
    return buildFailure(`There is ${shown(what)}: ${remedy}.`, this.#line);
  }
}

/** Pieces of a template, texts that follow one another as one. */
class Pieces {
  readonly all: (string | Reference)[] = [];

  add(piece: string | Reference): void {
    const last = this.all.at(-1);
    if (typeof piece === 'string' && typeof last === 'string') this.all[this.all.length - 1] = last + piece;
    else if (piece !== '') this.all.push(piece);
  }
}

/** A text of an instruction cut at its white space, as Docker does it where quotes do not matter. */
export function splitAtBlanks(text: string): readonly string[] {
  return text.split(/[ \t]+/).filter((word) => word !== '');
}

/** A text of an instruction cut at the white space that is neither quoted nor escaped; quotes and escapes stay. */
export function splitWords(text: string, escapeMark: EscapeMark): readonly string[] {
  const words: string[] = [];
  let word = '';
  let quote = '';
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] ?? '';
    if (quote === '' && (character === ' ' || character === '\t')) {
      if (word !== '') words.push(word);
      word = '';
      continue;
    }
    word += character;
    if (character === escapeMark && quote !== "'") {
      at += 1;
      word += text[at] ?? '';
    } else if (quote === '' && (character === "'" || character === '"')) quote = character;
    else if (character === quote) quote = '';
  }
  return word === '' ? words : [...words, word];
}

/**
 * The words of the exec form, a JSON list of strings; undefined where the text is none. Throws `build_failed` naming
 * the line for a list of other things, and for characters that no program can be given.
 */
export function parseJsonWords(text: string, line: number): readonly string[] | undefined {
  const words = parsedList(text);
  if (words === undefined) return undefined;
  return words.map((word) => {
    if (typeof word !== 'string') throw buildFailure(`${shown(text)} is not a JSON list of strings.`, line);
    if (word.includes('\0')) throw buildFailure('There is a NUL character in it.', line);
    if (!word.isWellFormed())
      throw buildFailure('There is half a character (\\uD800 to \\uDFFF) in it.', line);
    return word;
  });
}

function parsedList(text: string): readonly unknown[] | undefined {
  if (!text.startsWith('[')) return undefined;
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}
