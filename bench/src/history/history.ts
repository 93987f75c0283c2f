import { execFile } from 'node:child_process';
import { appendFile, readFile } from 'node:fs/promises';
import { arch, availableParallelism, cpus, release, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { errnoOf } from '@morpheo/common';
import { z } from 'zod';
import type { BenchSize, Report } from '../bench.ts';

const Aimed = z.strictObject({
  what: z.string(),
  measured: z.number(),
  least: z.number().optional(),
  most: z.number().optional(),
});

const Entry = z.strictObject({
  /** When it was measured, ISO 8601 in UTC. */
  at: z.iso.datetime(),
  /** The commit that was measured; ends with `+` where the tree held changes beside it. */
  commit: z.string(),
  machine: z.string(),
  size: z.enum(['full', 'quick', 'tiny']),
  bench: z.string(),
  aims: z.array(Aimed),
  /** Every figure of the table: the heading, after the texts of its row. */
  figures: z.record(z.string(), z.number()),
});

/** What one benchmark found at one commit: one line of the history. */
export type HistoryEntry = z.infer<typeof Entry>;

/** What is the same for all benchmarks of one run. */
export type Occasion = Pick<HistoryEntry, 'at' | 'commit' | 'machine' | 'size'>;

/** The present time, commit and machine. Rejects where the folder is not a checkout that git can read. */
export async function occasionOf(size: BenchSize): Promise<Occasion> {
  const git = async (...args: string[]) =>
    (await promisify(execFile)('git', args, { cwd: import.meta.dirname })).stdout.trim();
  const changed = await git('status', '--porcelain', '--untracked-files=no');
  const commit = `${await git('rev-parse', '--short=12', 'HEAD')}${changed === '' ? '' : '+'}`;
  const machine = [
    `${availableParallelism()} x ${cpus()[0]?.model.trim() ?? arch()}`,
    `${Math.round(totalmem() / 2 ** 30)} GiB`,
    `Linux ${release()}`,
    `Node ${process.versions.node}`,
  ].join(', ');
  return { at: new Date().toISOString(), commit, machine, size };
}

/** Adds what a run has found to a history, a line a benchmark. */
export async function addToHistory(
  file: string | URL,
  occasion: Occasion,
  reports: readonly Report[],
): Promise<void> {
  await appendFile(file, reports.map((report) => `${JSON.stringify(entryOf(occasion, report))}\n`).join(''));
}

/** A history, oldest first; empty where there is no file. Throws where a line is none of a history, with its number. */
export async function readHistory(file: string | URL): Promise<HistoryEntry[]> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  });
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line, index) => {
      try {
        return Entry.parse(JSON.parse(line));
      } catch (error) {
        throw new Error(`Line ${index + 1} of ${String(file)} is no entry of a history of benchmarks`, {
          cause: error,
        });
      }
    });
}

function entryOf(occasion: Occasion, { name, rows, aims }: Report): HistoryEntry {
  const figures = Object.fromEntries(
    rows.flatMap((row) => {
      const cells = Object.entries(row);
      const label = cells.filter(([, value]) => typeof value === 'string').map(([, value]) => value);
      return cells
        .filter((cell): cell is [string, number] => typeof cell[1] === 'number')
        .map(([heading, value]) => [[...label, heading].join(', '), value]);
    }),
  );
  return { ...occasion, bench: name, aims: aims.map((aim) => ({ ...aim })), figures };
}
