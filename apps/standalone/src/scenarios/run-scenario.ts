import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import {
  type Job,
  type Learnuplet,
  learnuplet,
  type OrderView,
  type Preduplet,
  preduplet,
} from '@morpheo/common';
import type { Platform } from '../platform.ts';
import type { Scenario, ScenarioStep } from './scenario.ts';
import { uploadData, uploadProgram } from './uploads.ts';

type Apis = Pick<Platform, 'storage' | 'compute'>;
type Posted =
  | { readonly kind: 'learn'; readonly body: Learnuplet }
  | { readonly kind: 'predict'; readonly body: Preduplet }
  | { readonly kind: 'job'; readonly body: Job };

/** Does the steps of a scenario against a platform, and returns its orders, by their names, once all have ended. */
export async function runScenario(scenario: Scenario, apis: Apis): Promise<ReadonlyMap<string, OrderView>> {
  const run = new Run(
    apis,
    await uploadProgram(apis.storage, 'problem', scenario.problem),
    await uploadData(apis.storage),
  );
  for (const step of scenario.steps) await run.do(step);
  return await run.end();
}

class Run {
  readonly #apis: Apis;
  readonly #workflow: string;
  readonly #data: string;
  readonly #problem = randomUUID();
  readonly #posted = new Map<string, Posted>();
  readonly #algos = new Map<string, string>();

  constructor(apis: Apis, workflow: string, data: string) {
    this.#apis = apis;
    this.#workflow = workflow;
    this.#data = data;
  }

  async do(step: ScenarioStep): Promise<void> {
    if ('learn' in step) await this.#post(step.learn, { kind: 'learn', body: await this.#learning(step) });
    else if ('predict' in step)
      await this.#post(step.predict, { kind: 'predict', body: this.#predicting(step.with) });
    else if ('job' in step) await this.#post(step.job, { kind: 'job', body: await this.#job(step) });
    else if ('again' in step) await this.#post(step.again, this.#postedAs(step.again));
    else if ('waits' in step) await this.#waits(step.waits, step.why);
    else if ('cancel' in step) await this.#cancel(step.cancel, step.when);
    else if ('cancelGroup' in step)
      await this.#apis.compute.cancelOrderGroup({ params: { name: step.cancelGroup }, query: {} });
    else {
      await this.#ended(step.retry);
      await this.#apis.compute.retryOrder({ params: { id: this.#postedAs(step.retry).body.uuid } });
    }
  }

  async end(): Promise<ReadonlyMap<string, OrderView>> {
    const names = [...this.#posted.keys()];
    return new Map(await Promise.all(names.map(async (name) => [name, await this.#ended(name)] as const)));
  }

  async #learning(step: Extract<ScenarioStep, { learn: string }>): Promise<Learnuplet> {
    const before = step.after === undefined ? undefined : this.#postedAs(step.after);
    const start = before?.kind === 'learn' ? before.body : undefined;
    const algo = await this.#algo(step.algo);
    return learnuplet.parse({
      ...this.#ids(),
      algo,
      group: step.group,
      needs: step.needs,
      model_end: randomUUID(),
      train_data: [step.train === 'unknown' ? randomUUID() : this.#data],
      test_data: [this.#data],
      ...(start === undefined
        ? { rank: 0, model_start: algo }
        : { rank: start.rank + 1, model_start: start.model_end }),
    });
  }

  #predicting(source: string): Preduplet {
    const made = source === 'unknown' ? undefined : this.#postedAs(source);
    const model = made?.kind === 'learn' ? made.body.model_end : randomUUID();
    return preduplet.parse({ ...this.#ids(), model, data: this.#data });
  }

  async #job({ algo, command, reads }: Extract<ScenarioStep, { job: string }>): Promise<Job> {
    const body = { uuid: randomUUID(), algo: await this.#algo(algo), command };
    if (reads === undefined) return body;
    const read = reads === 'unknown' ? undefined : (await this.#ended(reads)).result;
    const resource = { type: 'output' as const, uuid: read?.uuid ?? randomUUID() };
    return { ...body, inputs: [{ path: '/in/before', resource }] };
  }

  #ids() {
    return { uuid: randomUUID(), problem: this.#problem, workflow: this.#workflow, status: 'todo' };
  }

  async #algo(program: string): Promise<string> {
    const uploaded = this.#algos.get(program);
    if (uploaded !== undefined) return uploaded;
    const uuid = await uploadProgram(this.#apis.storage, 'algo', program);
    this.#algos.set(program, uuid);
    return uuid;
  }

  async #post(name: string, order: Posted): Promise<void> {
    this.#posted.set(name, order);
    if (order.kind === 'learn') await this.#apis.compute.learn({ body: order.body });
    else if (order.kind === 'predict') await this.#apis.compute.pred({ body: order.body });
    else await this.#apis.compute.postJob({ body: order.body });
  }

  async #waits(name: string, why: string): Promise<void> {
    const params = { id: this.#postedAs(name).body.uuid };
    while ((await this.#apis.compute.whyOrder({ params })).code !== why) await setTimeout(20);
  }

  async #cancel(name: string, when: string | undefined): Promise<void> {
    const id = this.#postedAs(name).body.uuid;
    if (when !== undefined) {
      for await (const event of await this.#apis.compute.orderEvents({ params: { id }, headers: {} })) {
        if (event.event === 'step_started' && event.data.details.step === when) break;
      }
    }
    await this.#apis.compute.cancelOrder({ params: { id } });
  }

  /** Follows the order's history to its end. */
  async #ended(name: string): Promise<OrderView> {
    const id = this.#postedAs(name).body.uuid;
    for await (const _event of await this.#apis.compute.orderEvents({ params: { id }, headers: {} }));
    return await this.#apis.compute.getOrder({ params: { id } });
  }

  #postedAs(name: string): Posted {
    const order = this.#posted.get(name);
    if (order === undefined) throw new Error(`The scenario names an order that it did not make: ${name}`);
    return order;
  }
}
