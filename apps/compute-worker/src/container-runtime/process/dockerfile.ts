import { posix } from 'node:path';
import { type Dockerfile, type Instruction, PropertyInstruction } from 'dockerfile-ast';
import { buildFailure } from '../dockerfile/build-failure.ts';
import { noEntryPoint, readEntryPoint } from '../dockerfile/entry-point.ts';
import { parseDockerfile } from '../dockerfile/read-dockerfile.ts';
import { type CopyLine, readCopy } from './copy-line.ts';
import { Variables } from './variables.ts';

/** What a Dockerfile asks for, as far as it can be had without building an image. */
export interface Recipe {
  /** The program and its first arguments. */
  readonly entryPoint: readonly string[];
  /** Absolute path inside the container; undefined without a WORKDIR. */
  readonly workingFolder: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
  readonly copies: readonly CopyLine[];
  /** What is not done, a sentence each. */
  readonly remarks: readonly string[];
}

const COPIES = 50;
const IGNORED = [
  'LABEL',
  'EXPOSE',
  'MAINTAINER',
  'HEALTHCHECK',
  'STOPSIGNAL',
  'ONBUILD',
  'CMD',
  'SHELL',
  'VOLUME',
];

/**
 * Reads the last stage of a Dockerfile. Supported are ENTRYPOINT in the exec form (required), WORKDIR, ENV, ARG with
 * its default, and COPY or ADD from the build context, with `$NAME` and `${NAME}`. RUN, USER and the base image have
 * no effect and are remarked upon; what else cannot be had throws `build_failed` naming the line.
 */
export function readDockerfile(text: string): Recipe {
  return new StageReader(parseDockerfile(text)).recipe();
}

class StageReader {
  readonly #escapeMark: string;
  readonly #instructions: readonly Instruction[];
  readonly #variables = new Variables();
  readonly #copies: CopyLine[] = [];
  readonly #remarks: string[] = [];
  #workingFolder: string | undefined;
  #entryPoint: readonly string[] | undefined;

  constructor(dockerfile: Dockerfile) {
    const all = dockerfile.getInstructions();
    const start = all.findLastIndex((instruction) => instruction.getKeyword() === 'FROM');
    if (start < 0)
      throw buildFailure('The Dockerfile has no FROM line: it must name the image to start from.');
    this.#instructions = all.slice(start);
    this.#escapeMark = dockerfile.getEscapeCharacter();
  }

  recipe(): Recipe {
    for (const instruction of this.#instructions) this.#read(instruction, lineOf(instruction));
    if (this.#entryPoint === undefined) throw noEntryPoint();
    return {
      entryPoint: this.#entryPoint,
      workingFolder: this.#workingFolder,
      environment: this.#variables.environment,
      copies: this.#copies,
      remarks: this.#remarks,
    };
  }

  #read(instruction: Instruction, line: number): void {
    const content = instruction.getArgumentsContent() ?? '';
    switch (instruction.getKeyword()) {
      case 'FROM':
        this.#remark(line, `${content} is not used: the programs of this machine run`);
        break;
      case 'RUN':
        this.#remark(line, 'RUN is not executed: what it would install must be on this machine already');
        break;
      case 'USER':
        this.#remark(line, 'USER has no effect: the code runs as the user of the worker');
        break;
      case 'ENTRYPOINT':
        this.#entryPoint = readEntryPoint(instruction, this.#escapeMark, line);
        break;
      case 'WORKDIR':
        this.#workingFolder = posix.resolve(
          this.#workingFolder ?? '/',
          this.#variables.expand(content, line),
        );
        break;
      case 'ENV':
      case 'ARG':
        this.#set(instruction, line);
        break;
      case 'COPY':
      case 'ADD':
        this.#copy(instruction, line);
        break;
      default:
        this.#ignore(instruction.getInstruction(), line);
    }
  }

  #copy(instruction: Instruction, line: number): void {
    const context = {
      workingFolder: this.#workingFolder ?? '/',
      variables: this.#variables,
      escapeMark: this.#escapeMark,
    };
    this.#copies.push(readCopy(instruction, line, context));
    if (this.#copies.length > COPIES) throw buildFailure(`There are more than ${COPIES} COPY lines.`, line);
  }

  #set(instruction: Instruction, line: number): void {
    const kind = instruction.getKeyword() === 'ENV' ? 'ENV' : 'ARG';
    if (!(instruction instanceof PropertyInstruction)) return;
    // All of a line are expanded with what was known before the line.
    const values = instruction.getProperties().map((property) => {
      return [property.getName(), this.#variables.expand(property.getValue() ?? '', line)] as const;
    });
    for (const [name, value] of values) this.#variables.set(kind, name, value, line);
  }

  #ignore(word: string, line: number): void {
    if (IGNORED.includes(word.toUpperCase())) return;
    throw buildFailure(`${word.slice(0, 40)} is no instruction of a Dockerfile.`, line);
  }

  #remark(line: number, what: string): void {
    this.#remarks.push(`Dockerfile, line ${line}: ${what}.`);
  }
}

function lineOf(instruction: Instruction): number {
  return instruction.getRange().start.line + 1;
}
