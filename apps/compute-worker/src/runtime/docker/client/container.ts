import type { Readable } from 'node:stream';
import type { ContainerCreateOptions } from 'dockerode';
import { z } from 'zod';
import { type InDaemon, withRunOfSpare } from '../labels.ts';
import { type Daemon, removed } from './daemon.ts';
import { explained, isAnswer } from './errors.ts';

/** What the daemon says of a container. */
export interface ContainerState {
  /** False where it was created and that is all, and where it is on its way out. */
  readonly started: boolean;
  readonly running: boolean;
  readonly exitCode: number;
  readonly outOfMemory: boolean;
  /** By the daemon's clock, in milliseconds since 1970; of no meaning before that has happened. */
  readonly startedAt: number;
  readonly endedAt: number;
}

/** What a daemon says of a container that it had lost sight of. A program may end so by itself, while it is there. */
export const UNKNOWN_EXIT = 255;

const state = z.object({
  State: z.object({
    Status: z.string(),
    Running: z.boolean(),
    ExitCode: z.number(),
    OOMKilled: z.boolean(),
    StartedAt: z.string(),
    FinishedAt: z.string(),
  }),
});
const made = z.object({ Id: z.string() });
const sized = z.object({ SizeRw: z.number().catch(0) });
const waited = z.object({ StatusCode: z.number() });
const listed = z.array(
  z.object({
    Names: z.array(z.string()),
    Labels: z
      .record(z.string(), z.string())
      .nullish()
      .transform((labels) => labels ?? {}),
  }),
);

/**
 * The containers that have all of these labels (`name` or `name=value`), running or not; those that were started ahead
 * with the labels of whose run they became.
 */
export async function listContainers(daemon: Daemon, label: readonly string[]): Promise<InDaemon[]> {
  const options = { all: true, filters: { label: [...label] } };
  const answer = await daemon.ask('list containers', (docker) => docker.listContainers(options));
  return listed
    .parse(answer)
    .map(({ Names, Labels }) => withRunOfSpare({ name: Names[0]?.replace(/^\//, '') ?? '', labels: Labels }));
}

/** One container of a daemon, by its name or its id. */
export class Container {
  readonly #daemon: Daemon;
  readonly name: string;

  constructor(daemon: Daemon, name: string) {
    this.#daemon = daemon;
    this.name = name;
  }

  /** Creates it, and returns its id. Not stopped half way by anything: what was begun would be there all the same. */
  async create(options: ContainerCreateOptions): Promise<string> {
    const { name } = this;
    // Taken apart for the client, which would repeat all of it in the address.
    const request = { name, _query: { name }, _body: options };
    const { id } = await this.#daemon.ask('create a container', (docker) => docker.createContainer(request));
    return id;
  }

  /** Gives it another name. */
  async rename(name: string): Promise<void> {
    await this.#daemon.ask('rename a container', (docker) => docker.getContainer(this.name).rename({ name }));
  }

  /** Halts all its processes. */
  async pause(): Promise<void> {
    await this.#daemon.ask('pause a container', (docker) => docker.getContainer(this.name).pause());
  }

  /** Lets them go on. */
  async unpause(): Promise<void> {
    await this.#daemon.ask('unpause a container', (docker) => docker.getContainer(this.name).unpause());
  }

  /** Starts it. */
  async start(): Promise<void> {
    await this.#daemon.ask('start a container', (docker) => docker.getContainer(this.name).start());
  }

  /** Its output from now on, both streams in one; see `readFrames`. The caller destroys it. */
  async attach(): Promise<Readable> {
    const path = `/containers/${this.name}/attach`;
    const query = { stream: '1', stdout: '1', stderr: '1' };
    return await this.#daemon.stream('attach to a container', { method: 'POST', path, query });
  }

  /**
   * What the daemon kept of its output since then, in milliseconds since 1970 by the daemon's clock; see
   * `readFrames`. It ends with what was printed until now. The caller destroys it.
   */
  async outputSince(at: number, signal: AbortSignal): Promise<Readable> {
    const path = `/containers/${this.name}/logs`;
    const query = { stdout: '1', stderr: '1', since: (Math.max(at, 0) / 1000).toFixed(3) };
    const request = { method: 'GET', path, query, signal } as const;
    return await this.#daemon.stream('show the output of a container', request);
  }

  /**
   * Begins to wait for its end, for as long as that takes; resolves with the wait once the daemon has taken it up.
   * The wait rejects with `unavailable` as soon as the daemon is lost.
   */
  async wait(
    condition: 'next-exit' | 'not-running',
    signal: AbortSignal,
  ): Promise<{ readonly exit: Promise<number> }> {
    const path = `/containers/${this.name}/wait`;
    const request = { method: 'POST', path, query: { condition }, signal } as const;
    const answer = await this.#daemon.stream('wait for a container', request);
    const exit = this.#exitCode(answer);
    exit.catch(() => undefined);
    return { exit };
  }

  /** Kills all of it; that it has ended already is as good. */
  async kill(): Promise<void> {
    try {
      await this.#daemon.ask('kill a container', (docker) =>
        docker.getContainer(this.name).kill({ signal: 'SIGKILL' }),
      );
    } catch (error) {
      if (!isAnswer(error, 404, 409)) throw error;
    }
  }

  async inspect(): Promise<ContainerState> {
    const answer = await this.#daemon.ask('inspect a container', (docker) =>
      docker.getContainer(this.name).inspect(),
    );
    const { Status, Running, ExitCode, OOMKilled, StartedAt, FinishedAt } = state.parse(answer).State;
    return {
      started: !['created', 'removing', 'dead'].includes(Status),
      running: Running,
      exitCode: ExitCode,
      outOfMemory: OOMKilled,
      startedAt: Date.parse(StartedAt),
      endedAt: Date.parse(FinishedAt),
    };
  }

  /** What it takes at the moment, as the daemon tells it. */
  async stats(signal: AbortSignal): Promise<unknown> {
    const question = { stream: false, 'one-shot': true } as const;
    return await this.#daemon.ask(
      'measure a container',
      (docker, stop) =>
        docker.getContainer(this.name).stats({ ...question, abortSignal: stop } as typeof question),
      { signal },
    );
  }

  /**
   * Makes an image of it, nameless and with this configuration; what is absent there is the container's own. Returns
   * its id. Takes as long as it takes.
   */
  async commit(config: ContainerCreateOptions, signal: AbortSignal): Promise<string> {
    const request = { _query: { container: this.name, pause: 'false' }, _body: config };
    const answer = await this.#daemon.ask(
      'make an image of a container',
      async (docker): Promise<unknown> => await docker.getContainer(this.name).commit(request as object),
      { signal, ms: Number.POSITIVE_INFINITY },
    );
    return made.parse(answer).Id;
  }

  /** How much it has written to its own file system, in bytes. */
  async writtenBytes(): Promise<number> {
    const answer = await this.#daemon.get('measure a container', `/containers/${this.name}/json`, {
      query: { size: '1' },
    });
    return sized.parse(answer).SizeRw;
  }

  /** Removes it, killing what runs, with the volumes that only it has; that it is not there is as good. */
  async remove(): Promise<void> {
    await removed(
      this.#daemon.ask('remove a container', (docker) =>
        docker.getContainer(this.name).remove({ force: true, v: true }),
      ),
    );
  }

  async #exitCode(answer: AsyncIterable<unknown>): Promise<number> {
    let text = '';
    try {
      for await (const chunk of answer) text += String(chunk);
      return waited.parse(JSON.parse(text)).StatusCode;
    } catch (error) {
      throw explained(error, 'tell how a container ended', this.#daemon.address);
    }
  }
}
