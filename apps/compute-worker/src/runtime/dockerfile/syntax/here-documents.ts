import { buildFailure } from '../failure.ts';
import type { Instruction } from './instructions.ts';

/** A word that begins a here-document, as BuildKit has it: `<<EOF`, `<<-EOF`, `3<<EOF`. */
const BEGIN = /^\d*<<-?[^<\s]/;

/**
 * Throws `build_failed` where a text has a here-document. BuildKit reads the lines behind it as its content, and the
 * older builder as instructions: which of them are meant is nothing to guess at.
 */
export function demandNoHereDocument(kind: Instruction['kind'], text: string, line: number): void {
  if (!text.includes('<<') || !unquotedWords(text).some((word) => BEGIN.test(word))) return;
  const remedy = 'put the text into a file of the archive, and COPY that file';
  throw buildFailure(`${kind} of a here-document (<<) is not supported: ${remedy}.`, line);
}

/** Words as a shell cuts them; where a quote does not end, also those behind it. */
function unquotedWords(text: string): string[] {
  const words: string[] = [];
  let word = '';
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] ?? '';
    if (character === ' ' || character === '\t') {
      words.push(word);
      word = '';
      continue;
    }
    const end = character === "'" || character === '"' ? endOfQuote(text, at) : undefined;
    word += text.slice(at, (end ?? at) + 1);
    at = end ?? at;
    if (character === '\\') {
      at += 1;
      word += text[at] ?? '';
    }
  }
  return [...words, word];
}

function endOfQuote(text: string, start: number): number | undefined {
  const quote = text[start];
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === quote) return at;
    if (text[at] === '\\' && quote === '"') at += 1;
  }
  return undefined;
}
