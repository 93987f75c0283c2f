import { appendFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/** The environment's variable with the path of the report; without it nothing is written down. */
export const REPORT = 'MORPHEO_TEST_REPORT';

/** The root of the repository. */
export const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/** Paths are from the root of the repository. A process is one of ava, which runs the files of one package. */
const entry = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('run started'), pid: z.number(), folder: z.string() }),
  z.object({ kind: z.literal('run ended'), pid: z.number() }),
  z.object({ kind: z.literal('file started'), pid: z.number(), file: z.string() }),
  z.object({
    kind: z.literal('file ended'),
    ...{ pid: z.number(), file: z.string(), seconds: z.number(), cpuSeconds: z.number() },
  }),
  z.object({
    kind: z.literal('failed'),
    ...{ folder: z.string(), file: z.string().optional(), title: z.string(), text: z.string() },
  }),
]);

/** What the processes of a run of tests write down while it goes on, each a line of JSON. */
export type ReportEntry = z.infer<typeof entry>;

/** How long a file of tests took: by the clock, and of its own thread on a processor. */
export interface FileTime {
  readonly file: string;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** One test that failed, or something beside the tests of a file. */
export interface Failure {
  /** The folder of the package. */
  readonly folder: string;
  /** Absent where it belongs to no file. */
  readonly file?: string | undefined;
  readonly title: string;
  /** All that there is to say of it, in several lines. */
  readonly text: string;
}

/** A process of ava that was gone before it had run its files: by a signal, mostly. */
export interface Crash {
  readonly folder: string;
  /** The files that had begun and not ended. */
  readonly running: readonly string[];
  /** The file that had ended last: what it left may still have been at work. */
  readonly lastEnded: string | undefined;
}

/** What a run of tests has written down. */
export interface Report {
  readonly times: readonly FileTime[];
  readonly failures: readonly Failure[];
  readonly crashes: readonly Crash[];
}

/** Adds an entry to the report of this run, if it has one. */
export function addEntry(added: ReportEntry): void {
  const path = process.env[REPORT];
  if (path !== undefined) appendFileSync(path, `${JSON.stringify(added)}\n`);
}

/** A path as reports have it. */
export function fromRoot(path: string): string {
  return relative(ROOT, path);
}

/** Reads a report whose processes have all ended; an empty one where none has written anything. */
export async function readReport(path: string): Promise<Report> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const entries = text
    .split('\n')
    .filter(Boolean)
    .map((line) => entry.parse(JSON.parse(line)));
  return {
    times: entries.filter((one) => one.kind === 'file ended'),
    failures: entries.filter((one) => one.kind === 'failed'),
    crashes: crashesIn(entries),
  };
}

function crashesIn(entries: readonly ReportEntry[]): Crash[] {
  const runs = new Map<number, { folder: string; running: Set<string>; lastEnded?: string }>();
  for (const one of entries) {
    if (one.kind === 'run started') runs.set(one.pid, { folder: one.folder, running: new Set() });
    if (one.kind === 'run ended') runs.delete(one.pid);
    if (one.kind === 'file started') runs.get(one.pid)?.running.add(one.file);
    if (one.kind === 'file ended') {
      const run = runs.get(one.pid);
      run?.running.delete(one.file);
      if (run !== undefined) run.lastEnded = one.file;
    }
  }
  return [...runs.values()].map(({ folder, running, lastEnded }) => ({
    ...{ folder, running: [...running], lastEnded },
  }));
}
