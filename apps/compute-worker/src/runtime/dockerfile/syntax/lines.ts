import { buildFailure, shown } from '../failure.ts';

/** The character that continues a line and that escapes others: `# escape=` chooses it. */
export type EscapeMark = '\\' | '`';

/** An instruction as it is written: the lines that are continued are one, and comments between them are gone. */
export interface LogicalLine {
  /** Of its first line in the Dockerfile, from 1. */
  readonly line: number;
  /** Without white space around it; never empty. */
  readonly text: string;
}

/** What {@link readLines} makes of a Dockerfile. */
export interface Lines {
  readonly escapeMark: EscapeMark;
  readonly lines: readonly LogicalLine[];
  /** What is not heeded, a sentence each. */
  readonly remarks: readonly string[];
}

interface Directives {
  readonly escapeMark: EscapeMark;
  readonly remarks: readonly string[];
}

const COMMENT = /^[ \t]*#/;
const DIRECTIVE = /^[ \t]*#[ \t]*(?<name>[A-Za-z][A-Za-z0-9]*)[ \t]*=[ \t]*(?<value>.+?)[ \t]*$/;
/** What one reader of Dockerfiles takes for white space and another does not, or what nobody sees. */
const ODD = /[\p{Cf}\p{Zl}\p{Zp}\p{Zs}]/u;
const CONTROL = /\p{Cc}/u;
const INSTRUCTIONS = 200;

/**
 * Takes a Dockerfile apart into its instructions. What readers of Dockerfiles see differently is refused: control
 * characters, white space beyond blank and tab, invisible characters. Lines may end with CR LF. Throws `build_failed`
 * naming the line.
 */
export function readLines(text: string): Lines {
  const raw = text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .map((line) => line.replace(/\r$/, ''));
  for (const [index, line] of raw.entries()) demandPlain(line, index + 1);
  const { escapeMark, remarks } = readDirectives(raw);
  const lines = joined(raw, escapeMark);
  const beyond = lines[INSTRUCTIONS];
  if (beyond !== undefined)
    throw buildFailure(`There are more than ${INSTRUCTIONS} instructions.`, beyond.line);
  return { escapeMark, lines, remarks };
}

function demandPlain(line: string, number: number): void {
  const control = CONTROL.exec(line.replaceAll('\t', ' '))?.[0];
  if (control !== undefined)
    throw buildFailure(`There is a control character (${codeOf(control)}): remove it.`, number);
  if (COMMENT.test(line)) return;
  const odd = ODD.exec(line.replaceAll(' ', '.'))?.[0];
  if (odd === undefined) return;
  const what = /\p{Zs}/u.test(odd) ? 'a blank that is no plain blank' : 'a character that nobody sees';
  throw buildFailure(`There is ${what} (${codeOf(odd)}): remove it, or write a plain blank.`, number);
}

function codeOf(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** The comments at the top that mean something: they end with the first line that is none of them. */
function readDirectives(raw: readonly string[]): Directives {
  const values = new Map<string, string>();
  const remarks: string[] = [];
  for (const [index, line] of raw.entries()) {
    const number = index + 1;
    const { name: written = '', value = '' } = DIRECTIVE.exec(line)?.groups ?? {};
    const name = written.toLowerCase();
    if (!['escape', 'syntax', 'check'].includes(name)) {
      if (COMMENT.test(line) && ODD.test(line.replaceAll(' ', '.')) && line.includes('='))
        throw buildFailure(
          'This comment, at the top of the file, has a blank that is no plain blank.',
          number,
        );
      break;
    }
    if (values.has(name)) throw buildFailure(`# ${name}= stands twice.`, number);
    values.set(name, value);
    if (name === 'escape' && value !== '\\' && value !== '`')
      throw buildFailure('# escape= must name \\ or `.', number);
    if (name === 'syntax') remarks.push(syntaxRemark(value, number));
  }
  return { escapeMark: values.get('escape') === '`' ? '`' : '\\', remarks };
}

function syntaxRemark(value: string, line: number): string {
  if (!/^(docker\.io\/)?docker\/dockerfile(:[\w.-]+)?$/.test(value)) {
    const remedy = 'write the Dockerfile in the usual language, and leave the line out';
    throw buildFailure(
      `# syntax=${shown(value)} names another language than Dockerfiles have: ${remedy}.`,
      line,
    );
  }
  return `Dockerfile, line ${line}: # syntax= has no effect: features of BuildKit are not there.`;
}

function joined(raw: readonly string[], escapeMark: EscapeMark): LogicalLine[] {
  const lines: LogicalLine[] = [];
  let open: LogicalLine | undefined;
  const close = () => {
    const text = open?.text.replace(/^[ \t]+|[ \t]+$/g, '') ?? '';
    if (open !== undefined && text !== '') lines.push({ line: open.line, text });
    open = undefined;
  };
  for (const [index, line] of raw.entries()) {
    if (COMMENT.test(line) || line.trim() === '') continue;
    const { text, isContinued } = cut(open === undefined ? line.trimStart() : line, escapeMark);
    open = { line: open?.line ?? index + 1, text: (open?.text ?? '') + text };
    if (!isContinued) close();
  }
  close();
  return lines;
}

/** A line without the mark at its end that continues it; two marks there are none, as with Docker. */
function cut(line: string, mark: EscapeMark): { readonly text: string; readonly isContinued: boolean } {
  const end = line.replace(/[ \t]+$/, '');
  const isContinued = end.endsWith(mark) && !end.endsWith(mark + mark);
  return isContinued ? { text: end.slice(0, -1), isContinued } : { text: line, isContinued };
}
