import { stripVTControlCharacters } from 'node:util';
import type { FileTime } from './report.ts';

/** What a run of tests has printed so far, as far as its end tells of it. */
export interface Summary {
  readonly counts: { passed: number; skipped: number };
  /** What was left out for want of a part of the machine, a line each. */
  readonly skips: Set<string>;
  /** When the first and the last line of a package's tests came, in milliseconds. */
  readonly packages: Map<string, { from: number; to: number }>;
  /** The packages whose tests did not end well, by name, and how, as npm has it; as far as that is known. */
  readonly broken: Map<string, string>;
}

const SLOWEST = 25;
const PREFIX = /^(?<name>@[\w-]+\/[\w-]+): /;
/** ava tells how many passed only where none failed, so each is counted by its line. */
const PASSED = /^\s*✔ /;
const SKIPPED = /^\s*(?<count>\d+) tests? skipped$/;
/** nx's list of what failed, at its end. */
const BROKEN = /^- (?<name>@[\w-]+\/[\w-]+):[\w-]+$/;
const ENDING = /^npm error (?<ending>(?:code|signal) \w+)$/;

/** A summary of nothing. */
export function emptySummary(): Summary {
  return { counts: { passed: 0, skipped: 0 }, skips: new Set(), packages: new Map(), broken: new Map() };
}

/**
 * Takes a line that ava, npm or nx printed into account, with nx's prefix or without; returns whether it tells of a
 * package whose tests did not end well.
 */
export function addLine(summary: Summary, printed: string, now = Date.now()): boolean {
  const { counts, skips, packages, broken } = summary;
  const line = stripVTControlCharacters(printed);
  const name = PREFIX.exec(line)?.groups?.name;
  if (name !== undefined) packages.set(name, { from: packages.get(name)?.from ?? now, to: now });
  const text = line.replace(PREFIX, '');
  if (text.startsWith('SKIPPED ')) skips.add(text);
  if (PASSED.test(text)) counts.passed += 1;
  counts.skipped += Number(SKIPPED.exec(text)?.groups?.count ?? 0);
  const failed = BROKEN.exec(text)?.groups?.name;
  const ending = ENDING.exec(text)?.groups?.ending;
  if (failed !== undefined) broken.set(failed, broken.get(failed) ?? '');
  else if (name !== undefined && ending !== undefined) broken.set(name, ending);
  return failed !== undefined;
}

/** Tables of times, and what was skipped. */
export function tables({ packages, skips }: Summary, times: readonly FileTime[]): string[] {
  const slowest = times.toSorted((a, b) => b.seconds - a.seconds).slice(0, SLOWEST);
  return [
    ...(slowest.length > 0 ? ['', 'The slowest files, in seconds (on a processor):'] : []),
    ...slowest.map(
      ({ file, seconds, cpuSeconds }) =>
        `${seconds.toFixed(1).padStart(7)} (${cpuSeconds.toFixed(1)})  ${file}`,
    ),
    ...(packages.size > 0 ? ['', 'Packages, in seconds:'] : []),
    ...[...packages].map(([name, { from, to }]) => `${((to - from) / 1000).toFixed(1).padStart(7)}  ${name}`),
    ...(skips.size > 0 ? ['', ...skips] : []),
  ];
}
