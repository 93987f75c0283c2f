import { posix } from 'node:path';
import { buildFailure, EXAMPLE } from '../failure.ts';
import type { Command, Instruction } from '../syntax/instructions.ts';

/** An ENTRYPOINT and its line; that of a base image has none. */
export type EntryPoint = Command & { readonly line: number | undefined };

/** A CMD line. */
type CommandLine = Extract<Instruction, { kind: 'CMD' | 'RUN' | 'ENTRYPOINT' }>;

const INTERPRETERS =
  /^(python[\d.]*|node|nodejs|bash|sh|dash|ash|perl|ruby|Rscript|julia|octave(-cli)?|java|env)$/;

/**
 * The words of an ENTRYPOINT in the exec form: in the shell form the arguments of a step would be lost. Throws
 * `build_failed` naming the line where it is anything else, and where the program itself stands in the CMD, which the
 * arguments of a step replace.
 */
export function checkedEntryPoint(
  entryPoint: EntryPoint,
  command: CommandLine | undefined,
): { readonly words: readonly string[]; readonly line: number | undefined } {
  const { line } = entryPoint;
  if (entryPoint.form === 'shell') {
    const isJson = entryPoint.text.startsWith('[');
    throw buildFailure(
      `The ENTRYPOINT ${isJson ? 'is not a JSON list of strings' : 'is in the shell form'}: ${EXAMPLE}.`,
      line,
    );
  }
  const { words } = entryPoint;
  if (words.length === 0 && line === undefined) {
    const cmd = command === undefined ? '' : ' A CMD is not enough: the arguments of a step replace it.';
    throw buildFailure(`The Dockerfile has no ENTRYPOINT: ${EXAMPLE}.${cmd}`);
  }
  const [program = ''] = words;
  if (program === '') throw buildFailure(`The ENTRYPOINT names no program: ${EXAMPLE}.`, line);
  if (words.length === 1 && command !== undefined && INTERPRETERS.test(posix.basename(program))) {
    const remedy = `write all of it into the ENTRYPOINT, as in ENTRYPOINT ["${posix.basename(program)}", "/app/main"]`;
    throw buildFailure(
      `CMD is replaced by the arguments of a step, and ${program} alone is no program of yours: ${remedy}.`,
      command.line,
    );
  }
  return { words, line };
}

/** A remark on a CMD that has no effect; none without a CMD. */
export function remarkOnCommand(command: CommandLine | undefined): readonly string[] {
  if (command === undefined) return [];
  return [`Dockerfile, line ${command.line}: CMD has no effect: the arguments of a step take its place.`];
}
