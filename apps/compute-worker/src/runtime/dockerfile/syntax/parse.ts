import { buildFailure, shown } from '../failure.ts';
import { type Flags, readFlags } from './flags.ts';
import { demandNoHereDocument } from './here-documents.ts';
import type {
  Assignment,
  Command,
  CopyInstruction,
  Dockerfile,
  FromInstruction,
  Instruction,
  Label,
} from './instructions.ts';
import { type EscapeMark, type LogicalLine, readLines } from './lines.ts';
import { parseJsonWords, parseTemplate, splitAtBlanks, splitWords, type Template } from './template.ts';

/**
 * Reads a Dockerfile to the closed list of instructions. What is not understood is refused, never passed on: an
 * unknown instruction or flag, ONBUILD, here-documents, and all that readers of Dockerfiles take differently. Throws
 * `build_failed` naming the line, with what to write in its place.
 */
export function parseDockerfile(text: string): Dockerfile {
  const { escapeMark, lines, remarks } = readLines(text);
  const read = lines.map((line) => ({ line, ...new LineParser(line, escapeMark).parse() }));
  return {
    escapeMark,
    instructions: read.map(({ instruction }) => instruction),
    texts: new Map(read.map(({ instruction, line }) => [instruction, line.text])),
    remarks: [...remarks, ...read.flatMap((one) => one.remarks)],
  };
}

const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,99}$/;
const STAGE = /^[a-z][a-z0-9_.-]{0,99}$/;
const WORDS = 100;

/** One instruction, with what of it is not heeded. */
interface Parsed {
  readonly instruction: Instruction;
  readonly remarks: readonly string[];
}

class LineParser {
  readonly #line: number;
  readonly #escapeMark: EscapeMark;
  readonly #kind: Instruction['kind'];
  readonly #flags: Flags;
  readonly #rest: string;

  constructor({ line, text }: LogicalLine, escapeMark: EscapeMark) {
    const [, word = '', rest = ''] = /^(\S+)[ \t]*(.*)$/s.exec(text) ?? [];
    this.#line = line;
    this.#escapeMark = escapeMark;
    this.#kind = kindOf(word, line);
    this.#flags = readFlags(this.#kind, rest, line);
    this.#rest = this.#flags.rest;
    if (this.#rest === '') throw this.#wrong(`${this.#kind} says nothing: complete it, or leave it out.`);
  }

  parse(): Parsed {
    const platform = this.#flags.values.get('platform');
    const remarks =
      platform === undefined
        ? []
        : [
            `Dockerfile, line ${this.#line}: --platform has no effect: images are those of the worker's own machine.`,
          ];
    return { instruction: this.#instruction(), remarks };
  }

  #instruction(): Instruction {
    const [kind, line] = [this.#kind, this.#line];
    switch (kind) {
      case 'FROM':
        return this.#from();
      case 'COPY':
      case 'ADD':
        return this.#copy(kind);
      case 'ARG':
        return { kind, line, names: this.#words().map((word) => this.#argument(word)) };
      case 'ENV':
        return { kind, line, variables: this.#assignments(NAME) };
      case 'LABEL':
        return { kind, line, labels: this.#labels() };
      case 'RUN':
      case 'CMD':
      case 'ENTRYPOINT':
        return { kind, line, command: this.#command(this.#rest) };
      case 'WORKDIR':
      case 'USER':
      case 'STOPSIGNAL':
        return { kind, line, value: this.#template(this.#rest) };
      case 'VOLUME':
        return { kind, line, values: this.#list().map((word) => this.#template(word)) };
      case 'EXPOSE':
        return { kind, line, values: splitAtBlanks(this.#rest).map((word) => this.#template(word)) };
      case 'SHELL':
        return { kind, line, words: this.#shell() };
      case 'HEALTHCHECK':
        this.#healthCheck();
        return { kind, line };
      case 'MAINTAINER':
        return { kind, line };
    }
  }

  #from(): FromInstruction {
    const [image = '', as, stage, ...more] = splitAtBlanks(this.#rest);
    const name = stage?.toLowerCase();
    if (more.length > 0 || (as !== undefined && (as.toLowerCase() !== 'as' || name === undefined)))
      throw this.#wrong('FROM names one image, and a stage: write it as FROM image, or FROM image AS stage.');
    if (name !== undefined && (!STAGE.test(name) || name === 'scratch'))
      throw this.#wrong(
        `${shown(name)} is no name of a stage: it begins with a letter, and has letters, digits, "-", "_" and ".".`,
      );
    return { kind: 'FROM', line: this.#line, image: this.#template(image), stage: name };
  }

  #copy(kind: 'COPY' | 'ADD'): CopyInstruction {
    const { values } = this.#flags;
    const words = this.#list();
    const [from, chown, chmod] = ['from', 'chown', 'chmod'].map((name) => values.get(name));
    if (from?.includes('$') === true)
      throw this.#wrong('COPY --from takes no variables: write the name of the stage.');
    if (words.length > WORDS) throw this.#wrong(`${kind} names more than ${WORDS} things.`);
    const destination = words.at(-1);
    if (destination === undefined || words.length < 2)
      throw this.#wrong(`${kind} needs what to copy and where to: for instance ${kind} . /app.`);
    return {
      kind,
      line: this.#line,
      from,
      chown: chown === undefined ? undefined : this.#template(chown),
      chmod: chmod === undefined ? undefined : this.#template(chmod),
      sources: words.slice(0, -1).map((word) => this.#template(word)),
      destination: this.#template(destination),
    };
  }

  #argument(word: string): Assignment | { readonly name: string } {
    const [name, value] = cutOnce(word);
    if (!NAME.test(name)) throw this.#wrong('ARG must be written as ARG NAME, or ARG NAME=value.');
    return value === undefined ? { name } : { name, value: this.#template(value) };
  }

  /** `NAME=value NAME=value`, or the older `NAME value`. */
  #assignments(allowed: RegExp): readonly Assignment[] {
    const words = this.#words();
    const wrong = () => this.#wrong(`${this.#kind} must be written as ${this.#kind} NAME=value.`);
    if (words[0]?.includes('=') === false) {
      const [, name = '', value = ''] = /^(\S+)[ \t]+(.*)$/s.exec(this.#rest) ?? [];
      if (!allowed.test(name)) throw wrong();
      return [{ name, value: this.#template(value) }];
    }
    return words.map((word) => {
      const [name, value] = cutOnce(word);
      if (value === undefined || !allowed.test(name)) throw wrong();
      return { name, value: this.#template(value) };
    });
  }

  #labels(): readonly Label[] {
    const all = this.#assignments(/^[^\0]{1,500}$/);
    return all.map(({ name, value }) => ({ name: this.#template(name), value }));
  }

  #words(): readonly string[] {
    return splitWords(this.#rest, this.#escapeMark);
  }

  /** The exec form, or words between blanks. */
  #list(): readonly string[] {
    const words = parseJsonWords(this.#rest, this.#line);
    if (words !== undefined) return words;
    demandNoHereDocument(this.#kind, this.#rest, this.#line);
    if (this.#rest.startsWith('[') && this.#rest.includes('"'))
      throw this.#wrong(`${shown(this.#rest)} begins as a JSON list of strings, and is none.`);
    return splitAtBlanks(this.#rest);
  }

  #command(text: string): Command {
    const words = parseJsonWords(text, this.#line);
    if (words !== undefined) return { form: 'exec', words };
    if (this.#kind === 'RUN') demandNoHereDocument('RUN', text, this.#line);
    return { form: 'shell', text };
  }

  #shell(): readonly string[] {
    const words = parseJsonWords(this.#rest, this.#line);
    if (words === undefined || words.length === 0 || words[0] === '')
      throw this.#wrong('SHELL must be a JSON list of strings, such as SHELL ["/bin/bash", "-c"].');
    return words;
  }

  #healthCheck(): void {
    const [, type = '', rest = ''] = /^(\S+)[ \t]*(.*)$/s.exec(this.#rest) ?? [];
    const isNone = type.toUpperCase() === 'NONE' && rest === '';
    if (!isNone && !(type.toUpperCase() === 'CMD' && rest !== ''))
      throw this.#wrong('HEALTHCHECK must be written as HEALTHCHECK CMD command, or HEALTHCHECK NONE.');
    if (!isNone) this.#command(rest);
  }

  #template(text: string): Template {
    return parseTemplate(text, this.#escapeMark, this.#line);
  }

  #wrong(sentence: string): Error {
    return buildFailure(sentence, this.#line);
  }
}

const KINDS: ReadonlySet<string> = new Set<Instruction['kind']>([
  'FROM',
  'ARG',
  'ENV',
  'RUN',
  'COPY',
  'ADD',
  'WORKDIR',
  'USER',
  'ENTRYPOINT',
  'CMD',
  'SHELL',
  'VOLUME',
  'EXPOSE',
  'STOPSIGNAL',
  'HEALTHCHECK',
  'LABEL',
  'MAINTAINER',
]);

function isKind(word: string): word is Instruction['kind'] {
  return KINDS.has(word);
}

function kindOf(written: string, line: number): Instruction['kind'] {
  // Letters of ASCII alone: others have capitals among them.
  const word = /^[A-Za-z]+$/.test(written) ? written.toUpperCase() : written;
  if (isKind(word)) return word;
  if (word === 'ONBUILD')
    throw buildFailure(
      'ONBUILD is not supported: write the instruction into the Dockerfile that needs it.',
      line,
    );
  throw buildFailure(`${shown(word, 40)} is no instruction of a Dockerfile.`, line);
}

function cutOnce(word: string): readonly [before: string, after: string | undefined] {
  const at = word.indexOf('=');
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}
