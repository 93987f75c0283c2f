import { fileURLToPath, pathToFileURL } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import type { Event, ObservedRun } from 'ava/internal';
import { addEntry, fromRoot, REPORT } from './report.ts';

/** Something thrown, as ava sends it; its types do not know all of them. */
type Thrown =
  | Exclude<Extract<Event, { type: 'test-failed' }>['err'], { type: 'aggregate' }>
  | { readonly type: 'aggregate'; readonly message: string; readonly errors: readonly Thrown[] }
  | { readonly type: 'unknown'; readonly formattedError: string };

/** The events that tell of failures, as version 8 of ava sends them; its types lack some. */
type FailureEvent =
  | { type: 'test-failed' | 'hook-failed'; title: string; err: Thrown; logs: string[]; testFile: string }
  | { type: 'uncaught-exception' | 'unhandled-rejection'; err: Thrown; testFile: string }
  | { type: 'internal-error'; err: Thrown; testFile?: string }
  | { type: 'worker-failed'; err?: Thrown; signal?: string; nonZeroExitCode?: number; testFile: string }
  | { type: 'process-exit'; stack: string; testFile: string }
  | { type: 'timeout'; period: number; pendingTests: ReadonlyMap<string, ReadonlySet<string>> }
  | { type: 'missing-ava-import'; testFile: string };

/** How many tests of a file there are, and how many have not ended. */
interface FileStats {
  readonly declaredTests: number;
  readonly remainingTests: number;
}

/** The other events that matter here. */
type ProgressEvent =
  | { type: 'stats'; stats: { readonly byFile: ReadonlyMap<string, FileStats> } }
  | { type: 'worker-finished'; forcedExit: boolean; testFile: string }
  | { type: 'end' };

/** What is wrong with a file or one of its tests, as reports have it. */
interface Finding {
  readonly file?: string | undefined;
  readonly title: string;
  readonly text: string;
}

const isReported = process.env[REPORT] !== undefined;

/** Settings of ava with which a run that has a report (see report.ts) writes down what becomes of it. */
export const REPORTING = isReported
  ? {
      nonSemVerExperiments: { observeRunsFromConfig: true },
      observeRun,
      require: [fileURLToPath(new URL('note-file.js', import.meta.url))],
    }
  : { require: [] };

async function observeRun({ events }: ObservedRun): Promise<void> {
  const { pid } = process;
  const folder = fromRoot(process.cwd());
  addEntry({ kind: 'run started', pid, folder });
  let stats: ReadonlyMap<string, FileStats> = new Map();
  const add = (finding: Finding) => addEntry({ kind: 'failed', folder, ...finding });
  for await (const event of events as AsyncIterable<FailureEvent | ProgressEvent>) {
    if (event.type === 'stats') stats = event.stats.byFile;
    else if (event.type === 'worker-finished') {
      const { declaredTests = 0, remainingTests = 0 } = stats.get(event.testFile) ?? {};
      const isShort = !event.forcedExit && (declaredTests === 0 || remainingTests > 0);
      const text = `It ended with ${remainingTests} of its ${declaredTests} tests not run.`;
      if (isShort) add({ file: path(event.testFile), title: '(the file itself)', text });
    } else if (event.type !== 'end') for (const finding of findings(event)) add(finding);
  }
  addEntry({ kind: 'run ended', pid });
}

/** What an event tells of failures; nothing, mostly. */
function findings(event: FailureEvent): Finding[] {
  switch (event.type) {
    case 'test-failed':
    case 'hook-failed':
      return [{ file: path(event.testFile), title: event.title, text: describe(event.err, event.logs) }];
    case 'uncaught-exception':
    case 'unhandled-rejection':
    case 'internal-error': {
      const { testFile, err } = event;
      return [{ file: path(testFile), title: `(${event.type.replace('-', ' ')})`, text: describe(err) }];
    }
    case 'worker-failed': {
      const { testFile, err, signal, nonZeroExitCode } = event;
      const text = err === undefined ? `It ended by itself: ${signal ?? nonZeroExitCode}` : describe(err);
      return [{ file: path(testFile), title: '(the file itself)', text }];
    }
    case 'process-exit':
      return [{ file: path(event.testFile), title: '(process.exit)', text: event.stack }];
    case 'timeout':
      return [...event.pendingTests].flatMap(([file, titles]) =>
        (titles.size === 0 ? ['(the end of the file)'] : [...titles]).map((title) => ({
          ...{ file: path(file), title },
          text: `Timed out: nothing had happened for ${event.period} ms, and this had not ended.`,
        })),
      );
    case 'missing-ava-import':
      return [{ file: path(event.testFile), title: '(the file itself)', text: 'It does not import ava.' }];
    default:
      return [];
  }
}

/** A failure in full: where, what was expected and what there was, and how the code came there. */
function describe(error: Thrown, logs: readonly string[] = []): string {
  return stripVTControlCharacters([...logs.map((log) => `ℹ ${log}`), ...linesOf(error)].join('\n')).trim();
}

function linesOf(error: Thrown): string[] {
  if (error.type === 'unknown') return [error.formattedError];
  if (error.type === 'aggregate') return [error.message, ...error.errors.flatMap(linesOf)];
  const at = error.source ? [`${path(error.source.file)}:${error.source.line}`] : [];
  if (error.type === 'native') return [...at, error.stack];
  const details = error.formattedDetails as { label: string; formatted: string }[];
  const formatted = details.flatMap((detail) => [detail.label, detail.formatted]);
  return [...at, error.message, ...formatted, error.stack];
}

function path(file: string): string;
function path(file: string | undefined): string | undefined;
function path(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  return fromRoot(fileURLToPath(file.startsWith('file:') ? file : pathToFileURL(file)));
}
