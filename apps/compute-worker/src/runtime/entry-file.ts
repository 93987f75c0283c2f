import { posix } from 'node:path';
import type { Mount, RunResult } from './index.ts';

/** What stands at a path of an image, every link followed. */
export type EntryFile =
  | { readonly kind: 'absent' }
  | { readonly kind: 'folder' }
  | { readonly kind: 'file'; readonly executable: boolean /** Its first bytes. */; readonly head: Buffer };

/** What is to be started, and where it is looked for. */
export interface Entry {
  /** The ENTRYPOINT of the image. */
  readonly words: readonly string[];
  /** The image's `PATH`. */
  readonly searchPath: string;
  readonly workingFolder: string;
  /** Where data of the run hide what the image has: nothing is said of what stands there. */
  readonly mounts: readonly Pick<Mount, 'container'>[];
  /** Looks at an absolute path of the image alone: never at data of a run, of which messages must not tell. */
  readonly look: (path: string) => Promise<EntryFile>;
}

/** How many bytes of a file are looked at. */
export const HEAD_BYTES = 4096;

/** What shells end with where a program, or a line of a script, is none. */
const OF_A_SHELL = [2, 126, 127];
const SHELLS = /^(?:ba|da|a)?sh$/;
/** What takes the path of a script. */
const INTERPRETERS = /^(?:(?:ba|da|a)?sh|python[\d.]*|perl|ruby|Rscript|julia)$/;
const SCRIPT = /^[^-].*\/|^[^-].*\.\w+$/;
/** How much of a name is shown. */
const SHOWN = 100;

/**
 * How a run ended, with the reason in words where its entry point is a file that cannot be run: a script with line ends of
 * Windows, in UTF-16, or whose interpreter is not in the image; a program of another machine; what is not there. Looked
 * for only where it ended as a shell ends in such a case. Never throws: without the reason the result is as good.
 */
export async function withReason(result: RunResult, entry: Entry): Promise<RunResult> {
  if (result.ended !== 'exited' || !OF_A_SHELL.includes(result.exitCode)) return result;
  const problem = await entryProblem(entry, result.exitCode).catch(() => undefined);
  return problem === undefined ? result : { ...result, notStarted: problem };
}

async function entryProblem(entry: Entry, exitCode: number): Promise<string | undefined> {
  const [program = '', script] = entry.words;
  const said = (name: string, problem: string) => `ENTRYPOINT of the Dockerfile: ${shown(name)} ${problem}.`;
  const ofProgram = exitCode === 2 ? undefined : await programProblem(program, entry);
  if (ofProgram !== undefined) return said(program, ofProgram);
  if (script === undefined || !INTERPRETERS.test(posix.basename(program)) || !SCRIPT.test(script))
    return undefined;
  const ofScript = await scriptProblem(program, script, entry);
  return ofScript === undefined ? undefined : said(script, ofScript);
}

async function programProblem(program: string, entry: Entry): Promise<string | undefined> {
  const path = program.includes('/')
    ? posix.resolve(entry.workingFolder, program)
    : await found(program, entry);
  if (path === undefined)
    return 'is in no folder of the PATH of the image: install it in the base image, or by RUN';
  if (isOfData(path, entry)) return undefined;
  const file = await entry.look(path);
  if (file.kind === 'absent') return ABSENT;
  if (file.kind === 'folder') return 'is a folder, and no program';
  if (!file.executable)
    return 'may not be executed: COPY it with --chmod=755, or name its interpreter before it';
  return encodingProblem(file.head) ?? (await formatProblem(file.head, entry));
}

async function scriptProblem(shell: string, script: string, entry: Entry): Promise<string | undefined> {
  const path = posix.resolve(entry.workingFolder, script);
  if (isOfData(path, entry)) return undefined;
  const file = await entry.look(path);
  if (file.kind === 'absent') return ABSENT;
  if (file.kind === 'folder') return undefined;
  const isForShell = SHELLS.test(posix.basename(shell));
  return encodingProblem(file.head) ?? (isForShell && endsWithCr(file.head) ? CRLF : undefined);
}

function isOfData(path: string, { mounts }: Entry): boolean {
  return mounts.some(({ container }) => `${path}/`.startsWith(`${container}/`));
}

const ABSENT = 'is not in the image: COPY it, and write its path in full';
const CRLF = 'has lines that end with CR LF, as Windows writes them: save it with LF alone';

function encodingProblem(head: Buffer): string | undefined {
  const start = head.toString('latin1', 0, 3);
  if (/^(\xff\xfe|\xfe\xff)/.test(start)) return 'is UTF-16 text: save it as UTF-8';
  if (start === '\xef\xbb\xbf') return 'begins with a byte order mark: save it as UTF-8 without one';
  return undefined;
}

async function formatProblem(head: Buffer, entry: Entry): Promise<string | undefined> {
  if (head.toString('latin1', 0, 4) === '\x7fELF') return await loaderProblem(head, entry);
  if (head.toString('latin1', 0, 2) !== '#!')
    return 'is neither a program nor a script: its first line must name an interpreter, such as #!/bin/sh';
  if (endsWithCr(head)) return CRLF;
  const [interpreter = '', argument] = firstLine(head).slice(2).trim().split(/\s+/);
  const isThere = (await entry.look(interpreter)).kind === 'file';
  const absent = (name: string) => `needs ${shown(name)} by its first line, which is not in the image`;
  if (!isThere) return absent(interpreter);
  const byName = posix.basename(interpreter) === 'env' && argument !== undefined && !argument.startsWith('-');
  return byName && (await found(argument, entry)) === undefined ? absent(argument) : undefined;
}

/** A program that is linked to a library of another Linux, or made for another processor. */
async function loaderProblem(head: Buffer, entry: Entry): Promise<string | undefined> {
  const [loader] = /\/lib[\w/.-]*\/ld-[\w.-]+/.exec(head.toString('latin1')) ?? [];
  if (loader !== undefined && (await entry.look(loader)).kind !== 'file')
    return `needs ${loader}, which is not in the image: it was built for another Linux, or for another processor`;
  return undefined;
}

async function found(name: string, { searchPath, look }: Entry): Promise<string | undefined> {
  for (const folder of searchPath.split(':').filter((part) => part.startsWith('/'))) {
    const path = posix.join(folder, name);
    const file = await look(path);
    if (file.kind === 'file' && file.executable) return path;
  }
  return undefined;
}

function firstLine(head: Buffer): string {
  return head.toString('utf8').split('\n', 1)[0] ?? '';
}

function endsWithCr(head: Buffer): boolean {
  return head.includes('\n') && firstLine(head).endsWith('\r');
}

function shown(name: string): string {
  const text = JSON.stringify(name).slice(1, -1);
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}
