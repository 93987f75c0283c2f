import { lstat, readFile, rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import type { AttemptName, RunResult } from '../runtime/index.ts';
import type { ContainerStep } from '../steps/contract.ts';

/** A number of milliseconds since 1970. */
const time = z.number().min(0).max(8.64e15);
const result = z.strictObject({
  ended: z.enum(['exited', 'timed_out', 'out_of_memory', 'output_limit', 'disk_full']),
  exitCode: z.int().min(0).max(255),
  seconds: z.number().min(0),
  notStarted: z.string().max(1000).exactOptional(),
  killedBelowLimits: z.literal(true).exactOptional(),
  peakMemoryBytes: z.number().min(0).exactOptional(),
  cpuSeconds: z.number().min(0).exactOptional(),
});
const step = z.discriminatedUnion('state', [
  z.strictObject({ state: z.literal('begun'), printed: z.strictObject({ bytes: z.int().min(0), at: time }) }),
  z.strictObject({ state: z.literal('ended'), result }),
]);
const gpu = z.strictObject({
  index: z.int(),
  id: z.string().min(1),
  name: z.string(),
  memoryBytes: z.number().min(0),
});
const content = z.strictObject({
  order: z.uuid(),
  attempt: z.int().min(1),
  leaseMs: z.number().min(0),
  gpus: z.array(gpu).max(1000),
  /** When a process resumed it. */
  resumed: z.array(time).max(1000),
  steps: z.partialRecord(z.enum(['detarget', 'train', 'perf', 'predict', 'job']), step),
});

type Content = z.infer<typeof content>;

/** How far the container of a step is, as far as a dead process wrote it down. */
export type StepProgress = z.infer<typeof step>;

/** The name of the file in a workspace. */
export const JOURNAL_FILE = 'record.json';
const MOST_BYTES = 256 * 1024;
const PRINTED_EVERY_MS = 300;
/** An order that kills whatever runs it must not be resumed for ever. */
const MOST_RESUMED = 3;
const RESUMED_WITHIN_MS = 3_600_000;

/**
 * What a later process of the worker has to know to resume an attempt: a file of its workspace, replaced at each
 * change. It says which containers were begun, and how those ended whose files are in their places.
 */
export class AttemptJournal {
  readonly #path: string | undefined;
  #content: Content;
  #saving: Promise<void> = Promise.resolve();
  #printedSoon: NodeJS.Timeout | undefined;

  private constructor(path: string | undefined, content: Content) {
    this.#path = path;
    this.#content = content;
  }

  /**
   * The journal of an attempt that begins; nothing is written before its first container is begun, and nothing at all
   * where no path is given, since no later process could resume the attempt.
   */
  static begin(
    path: string | undefined,
    start: Pick<Content, 'order' | 'attempt' | 'leaseMs' | 'gpus'>,
  ): AttemptJournal {
    return new AttemptJournal(path, { ...start, resumed: [], steps: {} });
  }

  /** The journal that a dead process left; undefined where it is none, or of another attempt. */
  static async read(path: string, { order, attempt }: AttemptName): Promise<AttemptJournal | undefined> {
    const stats = await lstat(path).catch(() => undefined);
    if (stats === undefined || !stats.isFile() || stats.size > MOST_BYTES) return undefined;
    const { success, data } = content.safeParse(parsed(await readFile(path, 'utf8').catch(() => '')));
    if (!success || data.order !== order || data.attempt !== attempt) return undefined;
    return new AttemptJournal(path, data);
  }

  /** Whose journal it is. */
  get of(): AttemptName {
    const { order, attempt } = this.#content;
    return { order, attempt };
  }

  /** The GPUs that its containers have. */
  get gpus(): Content['gpus'] {
    return this.#content.gpus;
  }

  /** How long its lease held without a renewal, in milliseconds. */
  get leaseMs(): number {
    return this.#content.leaseMs;
  }

  /** Whether there is anything to resume, and it was not resumed too often in the last hour. */
  get isResumable(): boolean {
    const { steps, resumed } = this.#content;
    const lately = resumed.filter((at) => at > Date.now() - RESUMED_WITHIN_MS);
    return Object.keys(steps).length > 0 && lately.length < MOST_RESUMED;
  }

  /** How far a step is; undefined where it is to be run. */
  step(name: ContainerStep): StepProgress | undefined {
    return this.#content.steps[name];
  }

  /** Notes that a process resumes it. */
  async resume(): Promise<void> {
    const resumed = [...this.#content.resumed, Date.now()].slice(-MOST_RESUMED);
    await this.#save({ ...this.#content, resumed });
  }

  /** Notes that the container of a step is about to be started. */
  async begin(name: ContainerStep): Promise<void> {
    await this.#save(this.#with(name, { state: 'begun', printed: { bytes: 0, at: 0 } }));
  }

  /** Counts what the container of a step printed; it is written down a moment later. */
  printed(name: ContainerStep, bytes: number): void {
    const known = this.#content.steps[name];
    if (known?.state !== 'begun') return;
    const printed = { bytes: known.printed.bytes + bytes, at: Date.now() };
    this.#content = this.#with(name, { ...known, printed });
    if (this.#path === undefined) return;
    this.#printedSoon ??= setTimeout(() => {
      this.#printedSoon = undefined;
      void this.#tryToSave(this.#content);
    }, PRINTED_EVERY_MS);
  }

  /** Notes how the container of a step ended, its files being in their places. */
  async end(name: ContainerStep, ended: RunResult): Promise<void> {
    await this.#tryToSave(this.#with(name, { state: 'ended', result: ended }));
  }

  /** Notes that a step is to be run anew should this process die: what it wrote is about to be moved away. */
  async forget(name: ContainerStep): Promise<void> {
    const { [name]: _, ...steps } = this.#content.steps;
    await this.#save({ ...this.#content, steps });
  }

  /** Writes nothing more. */
  async close(): Promise<void> {
    clearTimeout(this.#printedSoon);
    await this.#saving.catch(() => undefined);
  }

  #with(name: ContainerStep, progress: StepProgress): Content {
    return { ...this.#content, steps: { ...this.#content.steps, [name]: progress } };
  }

  /** What cannot be written costs a later process some work, and this one nothing. */
  async #tryToSave(changed: Content): Promise<void> {
    await this.#save(changed).catch(() => undefined);
  }

  /** In turn, and each time as it is by then. */
  async #save(changed: Content): Promise<void> {
    this.#content = changed;
    this.#saving = this.#saving.catch(() => undefined).then(async () => await this.#write());
    await this.#saving;
  }

  async #write(): Promise<void> {
    if (this.#path === undefined) return;
    await writeFile(`${this.#path}.new`, JSON.stringify(this.#content), { mode: 0o600 });
    await rename(`${this.#path}.new`, this.#path);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
