import { posix } from 'node:path';
import { type Instruction, ModifiableInstruction } from 'dockerfile-ast';
import { buildFailure } from '../dockerfile/build-failure.ts';
import { readWords } from '../dockerfile/exec-form.ts';
import type { Variables } from './variables.ts';

/** A COPY or ADD line: what of the build context stands where in the container. */
export interface CopyLine {
  /** Of the Dockerfile, from 1. */
  readonly line: number;
  /** Paths relative to the context's root, `.` for all of it; may hold `*` and `?`. */
  readonly sources: readonly string[];
  /** Absolute path inside the container. */
  readonly destination: string;
  /** True where the destination is a folder to copy into, by a slash at its end or by several sources. */
  readonly intoFolder: boolean;
}

/** What a COPY or ADD line depends on. */
export interface CopyContext {
  readonly workingFolder: string;
  readonly variables: Variables;
  /** The character that continues a line. */
  readonly escapeMark: string;
}

const SOURCES = 100;
/** Flags that change what this runtime does not keep (owners, modes) or how an image is laid out. */
const HARMLESS_FLAGS = ['chown', 'chmod', 'link'];
const UNPACKED = /\.(tar|tgz|tar\.(gz|bz2|xz|zst))$/i;

/** Reads a COPY or ADD line. Throws `build_failed` for what has no meaning without building an image. */
export function readCopy(instruction: Instruction, line: number, context: CopyContext): CopyLine {
  const word = instruction.getKeyword();
  demandPlainFlags(instruction, line, word);
  const written = readWords(instruction, context.escapeMark) ?? wordsOf(instruction);
  const words = written.map((text) => context.variables.expand(text, line));
  const target = words.at(-1);
  if (target === undefined || words.length < 2) {
    throw buildFailure(`${word} needs what to copy and where to: for instance ${word} . /app.`, line);
  }
  if (words.length > SOURCES) throw buildFailure(`${word} names more than ${SOURCES} things.`, line);
  const sources = words.slice(0, -1).map((source) => readSource(source, line, word));
  return {
    line,
    sources,
    destination: posix.resolve(context.workingFolder, target),
    intoFolder: sources.length > 1 || target.endsWith('/') || target === '.' || target.endsWith('/.'),
  };
}

function wordsOf(instruction: Instruction): readonly string[] {
  return instruction.getArguments().map((argument) => argument.getValue());
}

function demandPlainFlags(instruction: Instruction, line: number, word: string): void {
  if (!(instruction instanceof ModifiableInstruction)) return;
  for (const flag of instruction.getFlags()) {
    if (HARMLESS_FLAGS.includes(flag.getName())) continue;
    throw buildFailure(`${word} --${flag.getName()} cannot be done without building an image.`, line);
  }
}

function readSource(source: string, line: number, word: string): string {
  if (source.startsWith('<<'))
    throw buildFailure(`${word} of a here-document is not supported: put it in a file.`, line);
  if (/^[a-z]+:\/\/|^git@/i.test(source)) {
    throw buildFailure(`${word} ${source} would need the network: put the file into the archive.`, line);
  }
  if (word === 'ADD' && UNPACKED.test(source)) {
    throw buildFailure(
      `ADD would unpack ${source}, which is not supported: put its files into the archive.`,
      line,
    );
  }
  const path = posix.normalize(source).replace(/^\/+|\/+$/g, '');
  if (path === '..' || path.startsWith('../')) {
    throw buildFailure(`${word} ${source} lies outside of the archive.`, line);
  }
  return path === '' ? '.' : path;
}
