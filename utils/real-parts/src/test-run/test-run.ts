import { spawn } from 'node:child_process';
import { appendFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { REPORT, ROOT, readReport } from './report.ts';
import { addLine, emptySummary, tables } from './summary.ts';
import { filesToRunAgain, judge, type Verdict } from './verdict.ts';

/** What a run of tests needs. */
export interface TestRunOptions {
  /** A folder of its own, which goes after it. */
  readonly folder: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Ends it before its time. */
  readonly signal: AbortSignal;
  /** The file to which tests that failed once and passed alone are added, for whoever mends them. */
  readonly unstableFile: string;
  /** Where lines are printed; standard output where absent. */
  readonly print?: (line: string) => void;
}

/** A program with its arguments. */
export type Command = readonly [program: string, ...args: string[]];

/** How a program is run. */
export interface ProgramOptions {
  /** From the root of the repository, which it is where absent. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A run of tests: first of programs that run many files, then of the files that failed, then its end. */
export class TestRun {
  readonly #options: TestRunOptions;
  readonly #print: (line: string) => void;
  readonly #summary = emptySummary();
  readonly #failedAgain = new Set<string>();

  constructor(options: TestRunOptions) {
    this.#options = options;
    this.#print = options.print ?? ((line) => void process.stdout.write(`${line}\n`));
  }

  /** Runs a program that runs tests, and takes what it prints and reports into account. */
  async program(command: Command, { cwd = '.', env = {} }: ProgramOptions = {}): Promise<void> {
    let isTold = false;
    const onLine = (line: string) => {
      isTold = addLine(this.#summary, line) || isTold;
    };
    const how = await this.#run(command, cwd, { [REPORT]: this.#report('first'), ...env }, onLine);
    if (how !== undefined && !isTold) {
      this.#summary.broken.set(cwd === '.' ? command.join(' ') : cwd, how);
    }
  }

  /** Runs each file that failed once more, alone; none where they are too many. */
  async filesThatFailed(): Promise<void> {
    for (const { folder, file } of filesToRunAgain(await readReport(this.#report('first')))) {
      this.#print(`\n${file} failed. Once more, alone:`);
      const env = { [REPORT]: this.#report('again') };
      const how = await this.#run(['ava', relative(folder, file)], folder, env, () => undefined);
      if (how !== undefined) this.#failedAgain.add(file);
    }
  }

  /** Prints what there is to say at the end, and keeps what was unstable; returns how it ended. */
  async end(): Promise<Verdict> {
    const report = await readReport(this.#report('first'));
    const { counts, broken } = this.#summary;
    const verdict = judge({ report, failedAgain: this.#failedAgain, broken });
    const { unstable, failed, lines } = verdict;
    const passed = `${counts.passed + unstable.length} passed, ${failed} failed`;
    const others = [
      ...(counts.skipped > 0 ? [`${counts.skipped} skipped`] : []),
      ...(unstable.length > 0 ? [`${unstable.length} unstable`] : []),
    ];
    const all = [...tables(this.#summary, report.times), ...lines, '', [passed, ...others].join(', ')];
    for (const line of all) this.#print(line);
    await this.#keep(verdict);
    return verdict;
  }

  #report(which: 'first' | 'again'): string {
    return join(this.#options.folder, `report-${which}`);
  }

  async #keep({ unstable }: Verdict): Promise<void> {
    const at = new Date().toISOString();
    const lines = unstable.map((failure) => `${JSON.stringify({ at, ...failure })}\n`);
    if (lines.length > 0) await appendFile(this.#options.unstableFile, lines.join(''));
  }

  /** Resolves with how the program ended, as npm would tell it, and with nothing where it ended well. */
  async #run(
    [program, ...args]: Command,
    cwd: string,
    env: NodeJS.ProcessEnv,
    onLine: (line: string) => void,
  ): Promise<string | undefined> {
    const { environment, signal } = this.#options;
    if (signal.aborted) return 'signal SIGTERM';
    const child = spawn(program, args, {
      ...{ cwd: join(ROOT, cwd), env: { ...environment, ...env }, stdio: ['ignore', 'pipe', 'pipe'] },
    });
    const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
    child.once('error', reject);
    child.once('close', (code, by) =>
      resolve(by !== null ? `signal ${by}` : code === 0 ? undefined : `code ${code}`),
    );
    const end = () => void child.kill('SIGTERM');
    signal.addEventListener('abort', end, { once: true });
    for (const input of [child.stdout, child.stderr]) {
      createInterface({ input }).on('line', (line) => {
        this.#print(line);
        onLine(line);
      });
    }
    const how = await promise;
    signal.removeEventListener('abort', end);
    return how;
  }
}
