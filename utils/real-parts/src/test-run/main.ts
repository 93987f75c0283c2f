/*
 * Runs the tests: `main.ts [--soak] [PACKAGE...]`, all packages where none is named. Servers that nobody ends are
 * started once for all. A file that failed is run once more, alone, at the end (docs/decisions/0018-unstable-tests.md).
 * At the end it tells the slowest files, what was skipped, what failed, and in one plain line how many passed.
 */
import { mkdtempDisposable } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { missingParts, partsFolder, startRunParts } from '../index.ts';
import { type Command, TestRun } from './test-run.ts';

/** Packages that are none of the workspaces. */
const OUTSIDE = ['examples/digits', 'programs/picture-trainer'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { soak: { type: 'boolean', default: false } },
});
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    process.exitCode = 128 + constants.signals[signal];
    stop.abort();
  });
}

await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-test-run-'));
const reason = missingParts('postgres', 'minio');
await using parts = reason === undefined ? await startRunParts() : undefined;
const environment = { ...process.env, ...parts?.env, ...(values.soak && { MORPHEO_SOAK: '1' }) };
const run = new TestRun({
  ...{ folder: folder.path, environment, signal: stop.signal },
  unstableFile: join(partsFolder, 'unstable-tests.log'),
});
const projects =
  positionals.length > 0 ? [`--projects=${positionals.map((name) => `@morpheo/${name}`)}`] : [];
const nx = (target: string, atOnce: number): Command => [
  'nx',
  'run-many',
  `--target=${target}`,
  `--parallel=${atOnce}`,
  '--output-style=stream',
  ...projects,
];
await run.program(nx('test', 2), { env: { MORPHEO_TESTS: 'in company' } });
await run.program(nx('test-alone', 1));
for (const cwd of OUTSIDE) {
  if (projects.length === 0) await run.program(['ava'], { cwd });
}
await run.filesThatFailed();
const verdict = await run.end();
if (verdict.isRed) process.exitCode ??= 1;
