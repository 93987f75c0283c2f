import { randomUUID } from 'node:crypto';
import {
  type Claim,
  FAILURES,
  type FailureReason,
  type Learnuplet,
  learnuplet,
  type OrderStatus,
  type Preduplet,
  preduplet,
} from '@morpheo/common';
import { type Resources, uploadResources } from './resources.ts';
import type { StoredServices } from './services.ts';
import { ScriptedWorker } from './worker.ts';

/** How many orders come to each end. */
const EACH = 100;
const OWNERS = ['bob', 'carol', undefined] as const;

/**
 * Fills services that are empty: orders in every state, with all that belongs to them. Towards the end storage is
 * closed, and `leave` takes the orchestrator away, so that some effects stay due.
 */
export async function fill(
  services: StoredServices,
  folder: string,
  leave: () => void,
): Promise<{ upload: string }> {
  const { compute } = services;
  const resources = await uploadResources(services, folder);
  await compute.setOwner({ params: { owner: 'bob' }, body: { weight: 3 } });
  await compute.setOwner({ params: { owner: 'dave' }, body: { weight: 1000 } });
  await compute.setProblemDefaults({ params: { problem: resources.problems[1] ?? '' }, body: { gpus: 1 } });
  for (const paused of [true, false]) await compute.pauseQueue({ body: { paused } });
  const story = new Story(services, resources);
  await story.ends();
  await story.losses();
  await story.remainders(leave);
  return { upload: resources.upload };
}

/** The orders, one after another, so that what is claimed is known. */
class Story {
  readonly #services: StoredServices;
  readonly #resources: Resources;
  readonly #worker: ScriptedWorker;
  #posted = 0;

  constructor(services: StoredServices, resources: Resources) {
    this.#services = services;
    this.#resources = resources;
    this.#worker = new ScriptedWorker(services, randomUUID(), 4);
  }

  /** Orders that come to an end while all is well. */
  async ends(): Promise<void> {
    await this.#worker.start();
    for (let n = 0; n < EACH; n += 1) await this.#done(n);
    const reasons = (Object.keys(FAILURES) as FailureReason[]).filter((reason) => reason !== 'worker_lost');
    for (let n = 0; n < EACH; n += 1) await this.#failed(reasons[n % reasons.length] ?? 'internal');
    for (let n = 0; n < EACH; n += 1) await this.#cancelled(n);
  }

  async #done(n: number): Promise<void> {
    const id = await this.#post();
    let claim = await this.#claimOf(id);
    // Some come to it by detours.
    if (n % 10 === 1) await this.#worker.report(claim, { outcome: 'released' });
    if (n % 10 === 2) await this.#worker.fail(claim, 'error', 'internal');
    if (n % 10 === 3) await this.#worker.fail(claim, 'failed', 'exit_code');
    if (n % 10 === 4) await this.#services.compute.cancelOrder({ params: { id } });
    if (n % 10 === 3 || n % 10 === 4) await this.#services.compute.retryOrder({ params: { id } });
    if (n % 10 > 0 && n % 10 < 5) claim = await this.#claimOf(id);
    await this.#worker.finish(claim);
    await this.#reaches(id, 'done');
  }

  async #failed(reason: FailureReason): Promise<void> {
    const id = await this.#post();
    if (FAILURES[reason].fault === 'order')
      await this.#worker.fail(await this.#claimOf(id), 'failed', reason);
    else {
      for (let n = 0; n < 3; n += 1) await this.#worker.fail(await this.#claimOf(id), 'error', reason);
    }
    await this.#reaches(id, 'failed');
  }

  async #cancelled(n: number): Promise<void> {
    const id = await this.#post();
    if (n % 2 === 0) await this.#worker.work(await this.#claimOf(id), 'build');
    await this.#services.compute.cancelOrder({ params: { id } });
    await this.#reaches(id, 'cancelled');
  }

  /** Orders whose workers are lost: alone until they fail, and beside others until each is run alone. */
  async losses(): Promise<void> {
    for (let n = 0; n < EACH / 10; n += 1) {
      const worker = new ScriptedWorker(this.#services, randomUUID(), 4);
      await worker.start();
      const id = await this.#post();
      for (let loss = 0; loss < 3; loss += 1) {
        await worker.work(await worker.mustClaim(), 'build');
        await worker.start();
      }
      await this.#reaches(id, 'failed');
    }
    const worker = new ScriptedWorker(this.#services, randomUUID());
    await worker.start();
    for (let n = 0; n < 2; n += 1) await this.#post({ gpus: 0 });
    for (let loss = 0; loss < 2; loss += 1) {
      for (let n = 0; n < 2; n += 1) await worker.mustClaim();
      await worker.start();
    }
    // Each has a worker to itself now.
    await worker.work(await worker.mustClaim(), 'inputs');
    const other = new ScriptedWorker(this.#services, randomUUID());
    await other.start();
    await other.mustClaim();
  }

  /** Orders that have not ended, and what is due and cannot be done since storage is away. */
  async remainders(leave: () => void): Promise<void> {
    const worker = new ScriptedWorker(this.#services, randomUUID(), 4);
    await worker.start();
    const held: Claim[] = [];
    for (let n = 0; n < 8; n += 1) {
      await this.#post({ gpus: n % 2 });
      held.push(await worker.mustClaim());
    }
    await worker.start(held);
    for (const [n, claim] of held.entries()) {
      await worker.work(claim, n % 2 === 0 ? 'train' : undefined);
      if (n > 3) await worker.stage(claim);
    }
    const [, , , , , publishing, cancelled] = held;
    if (publishing === undefined || cancelled === undefined) throw new Error('There are eight.');
    const result = await worker.stage(publishing);
    await this.#services.closeStorage();
    leave();
    await worker.report(publishing, { outcome: 'done', result });
    await this.#services.compute.cancelOrder({ params: { id: cancelled.order } });
    await this.#post({ gpus: 4 });
    // No GPU that comes free is given to another order from now on.
    await new Promise((resolve) => setTimeout(resolve, 50));
    if ((await worker.claim(2)) !== null) throw new Error('Four GPUs are not free.');
    for (let n = 0; n < 10; n += 1) await this.#post();
    for (let n = 0; n < 5; n += 1) await this.#postWaiting();
  }

  /** Posts an order of the next kind and owner, and returns its id. */
  async #post(members: Partial<Learnuplet> & Partial<Preduplet> = {}): Promise<string> {
    const n = this.#posted++;
    const { problems, model, data, algos } = this.#resources;
    const ids = { uuid: randomUUID(), problem: at(problems, n >> 1), workflow: randomUUID(), status: 'todo' };
    const share = { owner: at(OWNERS, n), priority: (n % 5) - 2 };
    if (n % 2 === 0) {
      const inputs = { train_data: [at(data, n), at(data, n + 1)], test_data: [at(data, n + 2)] };
      const body = learnuplet.parse({
        ...{ ...ids, ...inputs, algo: at(algos, n >> 1), model_end: randomUUID(), rank: 0 },
        ...{ ...share, ...members },
      });
      await this.#services.compute.learn({ body });
    } else {
      const body = preduplet.parse({ ...ids, model, data: at(data, n), ...share, ...members });
      await this.#services.compute.pred({ body });
    }
    return ids.uuid;
  }

  /** Posts two trainings, of which the second starts from the first one's model. */
  async #postWaiting(): Promise<void> {
    const { problems, data, algos } = this.#resources;
    const [first, last] = [randomUUID(), randomUUID()];
    const common = { problem: at(problems, 0), workflow: randomUUID(), algo: at(algos, 0), status: 'todo' };
    const inputs = { train_data: [at(data, 0)], test_data: [at(data, 1)] };
    const models = [
      { rank: 0, model_end: first },
      { rank: 1, model_start: first, model_end: last },
    ];
    for (const model of models) {
      const body = learnuplet.parse({ uuid: randomUUID(), ...common, ...inputs, ...model });
      await this.#services.compute.learn({ body });
    }
  }

  async #claimOf(id: string): Promise<Claim> {
    const claim = await this.#worker.mustClaim();
    if (claim.order !== id) throw new Error(`${claim.order} was claimed in place of ${id}.`);
    return claim;
  }

  async #reaches(id: string, status: OrderStatus): Promise<void> {
    for (let tries = 0; tries < 1000; tries += 1) {
      if ((await this.#services.compute.getOrder({ params: { id } })).status === status) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`Order ${id} does not become ${status}.`);
  }
}

function at<T>(list: readonly T[], n: number): T {
  return list[n % list.length] as T;
}
