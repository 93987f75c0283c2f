import {
  type Api,
  type AttemptEvent,
  type Claim,
  type ComputeContract,
  computeContract,
  isPlatformError,
  ORDER_KINDS,
  type OrderKind,
  type OrderSpec,
  PlatformError,
  type Report,
  type StepRecord,
} from '@morpheo/common';
import { refuseAll } from './refuse-all.ts';

/** An order as a test sees it. */
export interface TestOrder {
  readonly id: string;
  readonly spec: OrderSpec;
  status: 'todo' | 'pending' | 'ended' | 'cancelled';
  attempt: number;
  readonly reports: Report[];
  readonly steps: StepRecord[];
  readonly started: string[];
  readonly metrics: { readonly attempt: number; readonly from: number; readonly lines: readonly unknown[] }[];
  /** Of the last attempt, by stream. */
  readonly log: { step: string; stream: string; text: string }[];
}

type Calls = keyof ComputeContract['endpoints'];

/** The worker's side of compute-api, in memory, with faults on request. */
export class MemoryCompute {
  readonly orders = new Map<string, TestOrder>();
  readonly api: Api<ComputeContract>;
  /** While set, calls reject with what it returns for them. */
  fault: (call: Calls) => Error | undefined = () => undefined;
  /** The ticket of an attempt, as a claim or a renewal brings it; none until it is set. */
  ticketOf: (order: string, attempt: number) => string | undefined = () => undefined;
  /** False: it answers as one of before, which hands out one order to a call. */
  handsOutSeveral = true;
  /** How many orders each claim got that said how many it has room for, oldest first. */
  readonly handedOut: number[] = [];
  terms = { lease_ms: 30_000, renew_ms: 10_000 };
  /** The boot that is registered, as long as compute-api knows the worker. */
  boot: string | undefined;
  readonly registrations: unknown[] = [];
  /** How many GPUs a claim says that the order is to have. */
  gpusOf: (spec: OrderSpec) => number = (spec) => spec.uplet.gpus ?? 0;
  /** Who gets to see what comes of an order; see `audience` of a claim. */
  audienceOf: (spec: OrderSpec) => string | undefined = () => 'all';
  /** As the claims said, oldest first. */
  readonly freeGpus: (number | undefined)[] = [];
  readonly calls = new Map<Calls, number>();
  /** What sorts of events were told, oldest first. */
  readonly told: string[] = [];
  readonly #noted = new Map<string, number>();
  /** The last report of each order, as it came. */
  readonly #reported = new Map<string, string>();
  /** What happened to the answers: calls named here are applied, and then fail as if the answer was lost. */
  readonly loseAnswerOf = new Set<Calls>();

  constructor() {
    this.api = { ...refuseAll(computeContract), ...this.#endpoints() };
  }

  /** Adds an order that is due. */
  place<S extends OrderSpec>(spec: S): TestOrder & { readonly spec: S } {
    const order: TestOrder & { readonly spec: S } = {
      ...{ id: spec.uplet.uuid, spec, status: 'todo', attempt: 0 },
      ...{ reports: [], steps: [], started: [], metrics: [], log: [] },
    };
    this.orders.set(order.id, order);
    return order;
  }

  /** How often a call came. */
  count(call: Calls): number {
    return this.calls.get(call) ?? 0;
  }

  async #answer<T>(call: Calls, apply: () => T): Promise<T> {
    this.calls.set(call, this.count(call) + 1);
    await new Promise(setImmediate);
    const fault = this.fault(call);
    if (fault !== undefined) throw fault;
    const answer = apply();
    if (!this.loseAnswerOf.delete(call)) return answer;
    throw new PlatformError('unavailable', 'The answer was lost.');
  }

  #known(boot: string): void {
    if (this.boot === undefined) throw new PlatformError('not_found', 'There is no such worker.');
    if (this.boot !== boot) throw new PlatformError('stale_attempt', 'Another process is this worker now.');
  }

  #held(id: string, attempt: number): TestOrder {
    const order = this.orders.get(id);
    if (order?.status === 'pending' && order.attempt === attempt) return order;
    throw new PlatformError('stale_attempt', `Attempt ${attempt} of ${id} does not run.`);
  }

  #claim(kinds: readonly string[], freeGpus: number): Claim | null {
    const due = [...this.orders.values()].filter(
      ({ status, spec }) =>
        status === 'todo' && kinds.includes(spec.kind) && (spec.uplet.gpus ?? 0) <= freeGpus,
    );
    const [order] = due;
    if (order === undefined) return null;
    order.status = 'pending';
    order.attempt += 1;
    const { id, attempt, spec } = order;
    const gpus = this.gpusOf(spec);
    const ticket = this.ticketOf(id, attempt);
    const owner = spec.uplet.owner ?? 'lab';
    const audience = this.audienceOf(spec);
    return { order: id, attempt, spec, owner, audience, gpus, lease_ms: this.terms.lease_ms, ticket };
  }

  #claims(most: Partial<Record<OrderKind, number | undefined>>, freeGpus: number) {
    const room = { ...most };
    const claims: Claim[] = [];
    for (;;) {
      const claim = this.#claim(
        ORDER_KINDS.filter((kind) => (room[kind] ?? 0) > 0),
        freeGpus,
      );
      if (claim === null) return { claim: claims[0] ?? null, claims, more: false };
      claims.push(claim);
      room[claim.spec.kind] = (room[claim.spec.kind] ?? 0) - 1;
      if (claim.gpus > 0) return { claim: claims[0] ?? null, claims, more: true };
    }
  }

  #resumed({ order: id, attempt }: { order: string; attempt: number }): Claim[] {
    const order = this.orders.get(id);
    if (order?.status !== 'pending' || order.attempt !== attempt) return [];
    const { spec } = order;
    const terms = { gpus: this.gpusOf(spec), lease_ms: this.terms.lease_ms, log_seq: 1000 };
    return [{ order: id, attempt, spec, ...terms, ticket: this.ticketOf(id, attempt) }];
  }

  #report(id: string, attempt: number, report: Report): { status: 'done' | 'failed' | 'todo' } {
    const text = JSON.stringify(report);
    if (this.#reported.get(id) === text) return { status: 'done' };
    const order = this.#held(id, attempt);
    const { events = [], ...ending } = report;
    this.#note(order, attempt, events);
    order.reports.push(ending);
    order.status = 'ended';
    this.#reported.set(id, text);
    return { status: 'done' };
  }

  /** What has a number that was told before is passed over. */
  #note(order: TestOrder, attempt: number, events: readonly AttemptEvent[]): void {
    const key = `${order.id} ${attempt}`;
    for (const event of events) {
      if (event.seq < (this.#noted.get(key) ?? 0)) continue;
      this.#noted.set(key, event.seq + 1);
      this.told.push(event.what);
      if (event.what === 'started') order.started.push(event.step);
      else if (event.what === 'ended') order.steps.push(event.record);
      else if (event.what === 'log')
        order.log.push({ step: event.step, stream: event.stream, text: event.text });
      else order.metrics.push({ attempt, from: event.from, lines: event.lines });
    }
  }

  #lost(id: string, attempt: number): 'cancelled' | 'stale' | undefined {
    try {
      this.#held(id, attempt);
      return undefined;
    } catch (error) {
      if (!isPlatformError(error)) throw error;
      return this.orders.get(id)?.status === 'cancelled' ? 'cancelled' : 'stale';
    }
  }

  #endpoints(): Partial<Api<ComputeContract>> {
    return {
      registerWorker: ({ body }) =>
        this.#answer('registerWorker', () => {
          this.boot = body.boot;
          this.registrations.push(body);
          if (body.resume === undefined) return this.terms;
          return { ...this.terms, resumed: body.resume.flatMap((held) => this.#resumed(held)) };
        }),
      claimOrder: ({ body }) =>
        this.#answer('claimOrder', () => {
          this.#known(body.boot);
          this.freeGpus.push(body.free_gpus);
          const { kinds, free_gpus = 0, most } = body;
          if (most === undefined || !this.handsOutSeveral) return { claim: this.#claim(kinds, free_gpus) };
          const answer = this.#claims(most, free_gpus);
          this.handedOut.push(answer.claims.length);
          return answer;
        }),
      renewLeases: ({ body }) =>
        this.#answer('renewLeases', () => {
          this.#known(body.boot);
          const judged = body.attempts.map((held) => ({
            ...held,
            reason: this.#lost(held.order, held.attempt),
          }));
          const lost = judged.flatMap(({ reason, ...held }) =>
            reason === undefined ? [] : [{ ...held, reason }],
          );
          const held = judged.flatMap(({ reason, ...held }) =>
            reason === undefined ? [{ ...held, ticket: this.ticketOf(held.order, held.attempt) }] : [],
          );
          return { held, lost, lease_ms: this.terms.lease_ms };
        }),
      noteEvents: ({ params: { id, attempt }, body: { events } }) =>
        this.#answer('noteEvents', () => {
          this.#note(this.#held(id, attempt), attempt, events);
          return undefined;
        }),
      reportAttempt: ({ params, body }) =>
        this.#answer('reportAttempt', () => this.#report(params.id, params.attempt, body)),
    };
  }
}
