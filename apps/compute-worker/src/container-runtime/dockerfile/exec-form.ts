import type { Instruction } from 'dockerfile-ast';

/** The words of an instruction in Docker's exec form, a JSON list of strings; undefined where it is none. */
export function readWords(instruction: Instruction, escapeMark: string): readonly string[] | undefined {
  try {
    const parsed: unknown = JSON.parse(joinedLines(instruction.getRawArgumentsContent() ?? '', escapeMark));
    if (Array.isArray(parsed) && parsed.every((word) => typeof word === 'string')) return parsed;
  } catch {
    // Not JSON: the shell form.
  }
  return undefined;
}

/** Lines that the escape character at their end continues, as one; lines of comment in between are dropped. */
function joinedLines(text: string, escapeMark: string): string {
  const [first = '', ...others] = text.split('\n');
  const lines = [first, ...others.filter((line) => !/^\s*#/.test(line))].map((line) => line.trimEnd());
  return lines.map((line) => (line.endsWith(escapeMark) ? line.slice(0, -escapeMark.length) : line)).join('');
}
