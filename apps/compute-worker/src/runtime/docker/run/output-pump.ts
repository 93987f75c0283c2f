import type { Readable } from 'node:stream';
import type { RunState } from '../../run-state.ts';
import type { Container } from '../client/container.ts';
import { readFrames } from '../client/frames.ts';

const STARTED_AGAIN = noteBytes(
  'The worker was started again here: some of the output may be missing, or come twice.',
);

/** How much longer than its output a run's account is that is taken up: a line of the pump is not on it. */
export const TAKEN_UP_BYTES = STARTED_AGAIN.byteLength;

/** Passes on what a container prints, over as many connections as that takes. Disposing ends those. */
export class OutputPump implements Disposable {
  readonly #container: Container;
  readonly #state: RunState;
  readonly #streams: Readable[] = [];
  readonly #pumped: Promise<void>[] = [];
  readonly #stop: AbortSignal;

  /** That a connection breaks counts until `stop` aborts. */
  constructor(container: Container, state: RunState, stop: AbortSignal) {
    this.#container = container;
    this.#state = state;
    this.#stop = stop;
  }

  /** Passes on what is printed from now on. */
  async attach(): Promise<void> {
    this.#pumped.push(this.#pump(await this.#opened(this.#container.attach())));
  }

  /** Passes on what comes from a connection that is there already. */
  take(stream: Readable): void {
    this.#streams.push(stream);
    this.#pumped.push(this.#pump(stream));
  }

  /** The same, after a line that says that something is missing. */
  async attachAgain(): Promise<void> {
    await this.#note('The connection to Docker was lost: some of the output is missing here.');
    await this.attach();
  }

  /**
   * Passes on what was printed while nobody listened, as far as the daemon kept it: since `at`, in milliseconds since
   * 1970 by its clock. Then, of a container that runs, what is printed from now on.
   */
  async takeUp(at: number, isRunning: boolean): Promise<void> {
    const live = isRunning ? await this.#opened(this.#container.attach()) : undefined;
    await this.#state.print('stderr', STARTED_AGAIN);
    const kept = this.#opened(this.#container.outputSince(at, this.#stop)).catch(() => undefined);
    this.#pumped.push(
      kept.then(async (before) => {
        if (before === undefined) await this.#note('What was printed meanwhile cannot be read from Docker.');
        else await this.#pump(before);
        if (live !== undefined) await this.#pump(live);
      }),
    );
  }

  /** Waits until all is passed on; see `RunState.drained`. */
  async drained(): Promise<void> {
    await this.#state.drained(Promise.all(this.#pumped));
  }

  [Symbol.dispose](): void {
    for (const stream of this.#streams) stream.destroy();
  }

  async #opened(opening: Promise<Readable>): Promise<Readable> {
    const stream = await opening;
    this.#streams.push(stream);
    return stream;
  }

  async #pump(stream: Readable): Promise<void> {
    try {
      for await (const chunk of readFrames(stream)) await this.#state.print(chunk.stream, chunk.bytes);
    } catch {
      // Not the receiver's doing: the wait for the container tells whether the daemon is lost.
      if (!this.#stop.aborted) await this.#note('The output ended early: its connection broke.');
    }
  }

  async #note(text: string): Promise<void> {
    await this.#state.print('stderr', noteBytes(text));
  }
}

function noteBytes(text: string): Buffer {
  return Buffer.from(`[morpheo] ${text}\n`);
}
