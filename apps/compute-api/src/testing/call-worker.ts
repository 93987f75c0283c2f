import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type {
  Api,
  CallDone,
  CallExchange,
  CallsExchanged,
  ComputeContract,
  GivenCall,
  RunnerReport,
} from '@morpheo/common';

/** How a test's worker answers a call; undefined: not yet, see {@link CallWorker.finish}. */
export type AnswerCall = (call: GivenCall) => CallDone | undefined;

type Calls = Pick<Api<ComputeContract>, 'registerWorker' | 'exchangeCalls'>;

/** What a {@link CallWorker} is like. */
export interface CallWorkerOptions {
  readonly answer?: AnswerCall;
  /** For how many calls it has room at once. */
  readonly room?: number;
  /** What it says of its memory and GPUs; nothing where absent. */
  readonly limits?: CallExchange['limits'];
  readonly warm?: ('runner' | 'zeromq')[];
  readonly labels?: Record<string, string>;
  readonly dedicated?: string[];
  readonly gpus?: number;
  readonly runners?: RunnerReport[];
  readonly id?: string;
  readonly waitMs?: number;
}

/** Answers a call with the bytes of its first inline input, as a runner of a test. */
export function echo({ call, spec }: GivenCall): CallDone {
  const data = spec.inputs?.find(({ inline }) => inline !== undefined)?.inline ?? '';
  return {
    ...{ call, outcome: 'done', outputs: [{ name: 'answer', data }], reused: 0 },
    ms: { waited: 0, started: 0, ran: 0 },
  };
}

/** A worker as compute-api sees one that has calls: it exchanges, and runs nothing. It has each program warm once it was called. */
export class CallWorker implements AsyncDisposable {
  readonly id: string;
  readonly boot = randomUUID();
  /** The calls that it was given, oldest first, however often it was told of them. */
  readonly given: GivenCall[] = [];
  readonly cancelled: string[] = [];
  readonly retries: string[] = [];
  /** Where it asks; another one from the next exchange on. */
  api: Calls;
  /** How many exchanges were answered. */
  exchanges = 0;
  /** How its last exchange failed; it goes on. */
  error: unknown;
  readonly #options: CallWorkerOptions;
  readonly #holds = new Map<string, GivenCall>();
  readonly #known = new Set<string>();
  readonly #keys = new Set<string>();
  #done: CallDone[] = [];
  #seq = 0;
  #stop = new AbortController();
  #open = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  private constructor(api: Calls, options: CallWorkerOptions) {
    this.api = api;
    this.#options = options;
    this.id = options.id ?? randomUUID();
  }

  /** Registers one, and has it ask. */
  static async start(api: Calls, options: CallWorkerOptions = {}): Promise<CallWorker> {
    const worker = new CallWorker(api, options);
    const { warm = ['runner'], labels, dedicated, gpus = 0 } = options;
    const devices = Array.from({ length: gpus }, (_, n) => ({ id: `${n}`, name: 'Fake', memory_bytes: 0 }));
    await api.registerWorker({
      params: { worker: worker.id },
      body: {
        ...{ boot: worker.boot, name: 'calls', runtime: 'docker', warm, slots: { learn: 0, predict: 0 } },
        ...{ gpus: { devices, slots: 1 } },
        ...(labels === undefined ? {} : { labels }),
        ...(dedicated === undefined ? {} : { dedicated }),
      },
    });
    worker.#loop = worker.#run();
    return worker;
  }

  /** Says how a call has ended that it has. */
  finish(done: CallDone): void {
    this.#holds.delete(done.call);
    this.#done.push(done);
    this.#open.abort();
  }

  /** Asks no more, as a worker that was killed. */
  async kill(): Promise<void> {
    this.#stop.abort();
    this.#open.abort();
    await this.#loop;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  /** One exchange, without any loop. */
  async exchange(body: Partial<CallExchange> = {}, signal?: AbortSignal): Promise<CallsExchanged> {
    const { room = 4, limits, runners, waitMs = 20_000 } = this.#options;
    const free = Math.max(0, room - this.#holds.size);
    return await this.api.exchangeCalls(
      {
        params: { worker: this.id },
        body: {
          ...{ boot: this.boot, seq: this.#seq++, room: free, limits },
          ready: [...this.#keys].map((key) => ({ key, room: free })),
          ...{ holds: [...this.#holds.keys()], done: [], wait_ms: waitMs },
          ...(this.#seq === 1 && runners !== undefined ? { runners } : {}),
          ...body,
        },
      },
      { signal },
    );
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#open = new AbortController();
      const told = this.#done;
      try {
        const signal = AbortSignal.any([this.#open.signal, this.#stop.signal]);
        const answer = await this.exchange({ done: told }, signal);
        this.exchanges += 1;
        this.#done = this.#done.filter((one) => !told.includes(one));
        this.#take(answer);
      } catch (error) {
        this.error = error;
        if (!this.#open.signal.aborted) await setTimeout(10);
      }
    }
  }

  #take({ calls, cancelled, retry }: CallsExchanged): void {
    for (const call of calls) {
      if (this.#known.has(call.call)) continue;
      this.#known.add(call.call);
      this.#keys.add(call.key);
      this.given.push(call);
      this.#holds.set(call.call, call);
      const done = this.#options.answer === undefined ? echo(call) : this.#options.answer(call);
      if (done !== undefined) this.finish(done);
    }
    for (const call of cancelled) this.#holds.delete(call);
    this.cancelled.push(...cancelled);
    this.retries.push(...retry);
  }
}
