import { randomUUID } from 'node:crypto';
import {
  type Claim,
  type Failure,
  KIND_NAMES,
  NIL_UUID,
  type OrderResult,
  type OrderSpec,
  type Report,
  type Step,
} from '@morpheo/common';
import type { StoredServices } from './services.ts';

const KINDS = ['learn', 'predict'] as const;
const SCORES = { perf: 0.75, train_perf: { fold1: 0.5, fold2: 1 }, test_perf: { fold1: 0.75 } };

/** A worker as the services see one: it claims, writes logs, stages results and reports, and runs nothing. */
export class ScriptedWorker {
  readonly #services: StoredServices;
  readonly #id: string;
  readonly #gpus: number;
  #boot = randomUUID();

  constructor(services: StoredServices, id: string, gpus = 0) {
    this.#services = services;
    this.#id = id;
    this.#gpus = gpus;
  }

  /** Registers as a new process; what is not in `resume` counts as lost. */
  async start(resume: readonly Claim[] = []): Promise<void> {
    this.#boot = randomUUID();
    const devices = Array.from({ length: this.#gpus }, (_, n) => ({
      ...{ id: `GPU-${n}`, name: 'Stored', memory_bytes: 1024 },
    }));
    await this.#services.compute.registerWorker({
      params: { worker: this.#id },
      body: {
        ...{
          boot: this.#boot,
          name: `stored-${this.#gpus}`,
          runtime: 'none',
          slots: { learn: 4, predict: 4 },
        },
        ...(devices.length === 0 ? {} : { gpus: { devices, slots: 1 } }),
        resume: resume.map(({ order, attempt }) => ({ order, attempt })),
      },
    });
  }

  async claim(freeGpus = this.#gpus): Promise<Claim | null> {
    const body = { boot: this.#boot, kinds: [...KINDS], free_gpus: freeGpus };
    return (await this.#services.compute.claimOrder({ params: { worker: this.#id }, body })).claim;
  }

  /** Claims, again and again while orders back off; throws where none comes. */
  async mustClaim(): Promise<Claim> {
    for (let tries = 0; tries < 500; tries += 1) {
      const claim = await this.claim();
      if (claim !== null) return claim;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error('No order is due.');
  }

  /** Notes the steps before `until`, which it leaves unfinished, with a few lines of log each. */
  async work({ order: id, attempt, spec }: Claim, until?: Step): Promise<void> {
    const params = { id, attempt };
    const own: Step[] = spec.kind === 'learn' ? ['detarget', 'train', 'perf'] : ['predict'];
    let seq = 0;
    for (const step of ['inputs', 'build', ...own, 'results'] as Step[]) {
      await this.#services.compute.noteStep({ params, body: { what: 'started', step } });
      const chunks = (['stdout', 'stderr'] as const).map((stream) => ({
        ...{ seq: seq++, step, stream, text: `${step} of attempt ${attempt}: é, 漢, \u0000 on ${stream}\n` },
      }));
      await this.#services.compute.appendLog({ params, body: { chunks } });
      if (step === until) return;
      const record = { step, seconds: 1.5, cached: step === 'build', exit_code: 0, peak_memory_bytes: 4096 };
      await this.#services.compute.noteStep({ params, body: { what: 'ended', record } });
    }
  }

  /** Stages a result of the attempt's own bytes; returns it as it is reported. */
  async stage({ order, attempt, spec, owner }: Claim): Promise<OrderResult> {
    const bytes = Buffer.from(`the result of attempt ${attempt} of order ${order}\n`);
    const isModel = spec.kind === 'learn';
    const uuid = idOf(madeBy(spec));
    const query = { type: KIND_NAMES[spec.kind].result, uuid, owner };
    const staged = await this.#services.storage.stageResult({
      params: { order, attempt },
      query: isModel ? { ...query, algo: spec.uplet.algo } : query,
      body: { body: one(bytes), contentLength: bytes.byteLength },
    });
    return { uuid, ...staged, ...(isModel ? { performance: SCORES } : {}) };
  }

  async report({ order: id, attempt }: Claim, body: Report): Promise<void> {
    await this.#services.compute.reportAttempt({ params: { id, attempt }, body });
  }

  /** Runs the attempt to a good end. */
  async finish(claim: Claim): Promise<void> {
    await this.work(claim);
    await this.report(claim, { outcome: 'done', result: await this.stage(claim) });
  }

  /** Ends the attempt with a failure of the order (`failed`) or of the platform (`error`). */
  async fail(claim: Claim, outcome: 'failed' | 'error', reason: Failure['reason']): Promise<void> {
    const step: Step = claim.spec.kind === 'learn' ? 'train' : 'predict';
    await this.work(claim, step);
    const details = { exit_code: 3, limit: '1 GiB', peak: '2 GiB', file: 'perf.json', log_tail: ['a', 'b'] };
    await this.report(claim, {
      outcome,
      failure: { reason, message: `It ended with ${reason}.`, step, ...details },
    });
  }
}

/** The id of a prediction; versions before 0.2 leave it to the worker. */
function madeBy(spec: OrderSpec): string {
  if (spec.kind === 'job') return spec.uplet.output ?? NIL_UUID;
  return spec.kind === 'learn' ? spec.uplet.model_end : spec.uplet.prediction_storage_uuid;
}

function idOf(kept: string): string {
  return kept === NIL_UUID ? randomUUID() : kept;
}

/** A body of one piece. */
export async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
