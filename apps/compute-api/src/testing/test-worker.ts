import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type {
  Api,
  Claim,
  ComputeContract,
  Failure,
  Input,
  OrderKind,
  OrderResult,
  OrderStatus,
  Report,
  Slots,
} from '@morpheo/common';

/** How long an order is waited for that is to be due. */
const PATIENCE_MS = 120_000;

/** The scores of a result that a test makes up. */
export const SCORES = { perf: 0.5, train_perf: { a: 0.6 }, test_perf: { b: 0.5 } };

/** What a worker says that it offers. */
export type TestOffers = Partial<
  Pick<
    Input<ComputeContract['endpoints']['registerWorker']>['body'],
    'runtime' | 'arch' | 'warm' | 'labels' | 'dedicated'
  >
>;

/** A worker as compute-api sees one: it makes the calls, and runs nothing. */
export class TestWorker {
  readonly api: Api<ComputeContract>;
  readonly id: string;
  boot = randomUUID();

  constructor(api: Api<ComputeContract>, id: string) {
    this.api = api;
    this.id = id;
  }

  /** Registers a worker under an id: again, for one that starts again. `gpus`: how many it has. */
  static async register(
    api: Api<ComputeContract>,
    id: string,
    slots: Slots = { learn: 1, predict: 1 },
    gpus = 0,
    gpuSlots = 1,
    offers: TestOffers = {},
  ): Promise<TestWorker> {
    const worker = new TestWorker(api, id);
    const devices = Array.from({ length: gpus }, (_, n) => ({
      id: `GPU-${n}`,
      name: 'Fake',
      memory_bytes: 0,
    }));
    const body = {
      boot: worker.boot,
      name: 'test',
      runtime: 'none',
      slots,
      gpus: { devices, slots: gpuSlots },
      ...offers,
    };
    await api.registerWorker({ params: { worker: id }, body });
    return worker;
  }

  /** Registers as a new process of the same worker, which names attempts to go on with; returns what it holds. */
  async restart(resume: readonly { order: string; attempt: number }[]): Promise<Claim[]> {
    this.boot = randomUUID();
    return await this.registerAgain(resume);
  }

  /** Registers once more in the same process. */
  async registerAgain(resume: readonly { order: string; attempt: number }[]): Promise<Claim[]> {
    const named = resume.map(({ order, attempt }) => ({ order, attempt }));
    const slots = { learn: 1, predict: 1 };
    const body = { boot: this.boot, name: 'test', runtime: 'none', slots, resume: named };
    const { resumed = [] } = await this.api.registerWorker({ params: { worker: this.id }, body });
    return resumed;
  }

  /** Claims the next order of the kinds, of any where absent, that asks for no more GPUs than are free; null where none is due. */
  async claim(freeGpus = 0, kinds: OrderKind[] = ['learn', 'predict']): Promise<Claim | null> {
    const body = { boot: this.boot, kinds, free_gpus: freeGpus };
    return (await this.api.claimOrder({ params: { worker: this.id }, body })).claim;
  }

  /** Claims the next order, which may still be checked for a moment; throws where none is due after a while. */
  async mustClaim(freeGpus = 0, kinds?: OrderKind[]): Promise<Claim> {
    const deadline = performance.now() + PATIENCE_MS;
    do {
      const claim = await this.claim(freeGpus, kinds);
      if (claim !== null) return claim;
      await setTimeout(5);
    } while (performance.now() < deadline);
    throw new Error('no order is due');
  }

  /** Reports an attempt. */
  async report(claim: Pick<Claim, 'order' | 'attempt'>, body: Report): Promise<OrderStatus> {
    const params = { id: claim.order, attempt: claim.attempt };
    return (await this.api.reportAttempt({ params, body })).status;
  }

  /** Reports an attempt done, with made-up scores. */
  async finish(claim: Claim): Promise<OrderStatus> {
    return await this.report(claim, { outcome: 'done', result: resultOf(claim) });
  }

  /** Reports that the order's own code failed. */
  async fail(claim: Claim): Promise<OrderStatus> {
    const failure: Failure = {
      reason: 'exit_code',
      message: 'It exited with 1.',
      exit_code: 1,
      step: 'train',
    };
    return await this.report(claim, { outcome: 'failed', failure });
  }
}

/** A result that fits a claim. */
export function resultOf(claim: Claim): OrderResult {
  const blob = { sha256: 'a'.repeat(64), size: 1 };
  if (claim.spec.kind === 'predict') return { uuid: claim.spec.uplet.prediction_storage_uuid, ...blob };
  if (claim.spec.kind === 'job') return { uuid: claim.spec.uplet.output ?? '', ...blob };
  return { uuid: claim.spec.uplet.model_end, ...blob, performance: SCORES };
}
