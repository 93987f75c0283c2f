import type { Instruction } from 'dockerfile-ast';
import { buildFailure } from './build-failure.ts';
import { readWords } from './exec-form.ts';

const EXAMPLE = 'write it in the exec form, for instance ENTRYPOINT ["node", "/app/main.js"]';

/** That a Dockerfile has no ENTRYPOINT, as an error that says how to write one. */
export function noEntryPoint() {
  return buildFailure(`The Dockerfile has no ENTRYPOINT: ${EXAMPLE}.`);
}

/**
 * The words of an ENTRYPOINT in the exec form; in the shell form the arguments of a run would be lost. Throws
 * `build_failed` naming the line where it is anything else.
 */
export function readEntryPoint(
  instruction: Instruction,
  escapeMark: string,
  line: number,
): readonly string[] {
  const words = readWords(instruction, escapeMark);
  if (words === undefined) {
    const form = instruction.getArgumentsContent()?.trimStart().startsWith('[')
      ? 'is not a JSON list of strings'
      : 'is in the shell form';
    throw buildFailure(`The ENTRYPOINT ${form}: ${EXAMPLE}.`, line);
  }
  if (words.length === 0 || words[0] === '')
    throw buildFailure(`The ENTRYPOINT names no program: ${EXAMPLE}.`, line);
  if (words.some((word) => word.includes('\0')))
    throw buildFailure('The ENTRYPOINT has a NUL character in it.', line);
  return words;
}
