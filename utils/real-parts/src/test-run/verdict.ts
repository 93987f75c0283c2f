import { constants } from 'node:os';
import { basename } from 'node:path';
import type { Crash, Failure, Report } from './report.ts';

/** So many files may fail once and pass alone before a run is red for that. */
export const MOST_UNSTABLE = 3;

/** A file that failed, and the folder of its package. */
export interface FailedFile {
  readonly folder: string;
  readonly file: string;
}

/** How a run of tests ended. */
export interface Verdict {
  readonly isRed: boolean;
  /** How many tests failed, or whatever else did. */
  readonly failed: number;
  /** Tests that failed and passed when their files ran once more. */
  readonly unstable: readonly Failure[];
  /** What a reader needs to mend it: each failure and each unstable test in full. */
  readonly lines: readonly string[];
}

/** What a verdict is about. */
export interface Outcome {
  /** Of the run of all files. */
  readonly report: Report;
  /** Of the files that were run again: those of them that failed again. */
  readonly failedAgain: ReadonlySet<string>;
  /** Whose tests did not end well, by name, and how, as npm has it (`code 139`), or ''. */
  readonly broken: ReadonlyMap<string, string>;
}

/** The files to run once more, each alone; none where they are more than may be unstable, which is red anyway. */
export function filesToRunAgain({ failures }: Report): FailedFile[] {
  const files = new Map<string, FailedFile>();
  for (const { folder, file } of failures) if (file !== undefined) files.set(file, { folder, file });
  return files.size > MOST_UNSTABLE ? [] : [...files.values()];
}

/**
 * Judges a run: red where a test failed twice, where too many failed once, and where something failed that no test
 * tells of. A file that failed once and passed alone is told of, and is a defect of its own.
 */
export function judge({ report, failedAgain, broken }: Outcome): Verdict {
  const again = new Set(filesToRunAgain(report).map(({ file }) => file));
  const passedAlone = ({ file }: Failure) => file !== undefined && again.has(file) && !failedAgain.has(file);
  const unstable = report.failures.filter(passedAlone);
  const failures = report.failures.filter((failure) => !passedAlone(failure));
  const told = new Set([...report.failures, ...report.crashes].map(({ folder }) => basename(folder)));
  const untold = [...broken].filter(([name]) => !told.has(basename(name)));
  const failed = failures.length + report.crashes.length + untold.length;
  const lines = [
    ...report.crashes.flatMap((crash) => crashLines(crash, broken)),
    ...untold.flatMap(([name, how]) => [
      '',
      `✘ The tests of ${name} failed, and no test tells why (${endingOf(how)}): see what it printed`,
    ]),
    ...failures.flatMap((failure) => failureLines('✘ ', failure)),
  ];
  const unstableLines = unstable.flatMap((failure) =>
    failureLines('Unstable: failed once, passed alone: ', failure),
  );
  return {
    isRed: failed > 0,
    failed,
    unstable,
    lines: [
      ...(lines.length > 0 ? ['', 'What failed:', ...lines] : []),
      ...unstableLines,
      ...(failures.length > 0 ? ['', 'Failed, by file:', ...countsByFile(failures)] : []),
    ],
  };
}

/** Short enough for those who see no more than the end of what a run printed. */
function countsByFile(failures: readonly Failure[]): string[] {
  const counts = Map.groupBy(failures, ({ file, folder }) => file ?? folder);
  return [...counts].map(([file, { length }]) => `  ${length} in ${file}`);
}

function failureLines(what: string, { file, folder, title, text }: Failure): string[] {
  const indented = text.split('\n').map((line) => (line === '' ? '' : `    ${line}`));
  return ['', `${what}${file ?? folder}`, `  ${title}`, '', ...indented];
}

function crashLines({ folder, running, lastEnded }: Crash, broken: ReadonlyMap<string, string>): string[] {
  const how = [...broken].find(([name]) => basename(name) === basename(folder))?.[1] ?? '';
  return [
    '',
    `✘ The process of the tests of ${folder} was gone before its end (${endingOf(how)}); these files were running:`,
    ...(running.length === 0 ? ['    (none)'] : running.map((file) => `    ${file}`)),
    ...(lastEnded === undefined ? [] : [`  The last that had ended: ${lastEnded}`]),
  ];
}

/** An exit code as people know it: a shell tells a signal as 128 and its number. */
function endingOf(how: string): string {
  const code = Number(/^code (\d+)$/.exec(how)?.[1]);
  const signal = Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0];
  if (how === '') return 'how is not known';
  return signal === undefined ? how.replace('code', 'exit code') : `exit code ${code}, ${signal}`;
}
