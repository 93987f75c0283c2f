import { randomUUID } from 'node:crypto';
import {
  job,
  type Learnuplet,
  learnuplet,
  type OrderEvent,
  preduplet,
  type Step,
  type StepRecord,
} from '@morpheo/common';
import type { Platform } from '@morpheo/standalone';

/** What an order is about: ids on storage. */
export interface Subject {
  readonly problem: string;
  readonly algo: string;
  readonly train: string;
  readonly test: string;
}

/** How long an order took, in milliseconds. */
export interface OrderTimes {
  /** The id of the model that was made. */
  readonly model: string;
  /** From before the POST until the news that it is done had come. */
  readonly whole: number;
  /** From the 202 until a worker had claimed it. */
  readonly claim: number;
  readonly steps: Readonly<Partial<Record<Step, number>>>;
  /** From the worker's report until the model could be seen and the order was done. */
  readonly publish: number;
}

/** Orders a training, waits for its end and tells what took how long. Throws unless it is done and its model is there. */
export async function timeOrder(
  platform: Pick<Platform, 'compute' | 'storage'>,
  subject: Subject,
): Promise<OrderTimes> {
  const { compute, storage } = platform;
  const order = orderOf(subject);
  const id = order.uuid;
  const started = performance.now();
  await compute.learn({ body: order });
  const history = await untilDone(platform, id);
  const whole = performance.now() - started;
  const { status, result, attempts } = await compute.getOrder({ params: { id } });
  const model = await storage.get({ params: { type: 'model', uuid: order.model_end } });
  if (status !== 'done' || result === undefined || model.sha256 !== result.sha256 || attempts.length !== 1) {
    throw new Error(
      `The order ${id} is ${status} after ${attempts.length} attempts, or its model is another`,
    );
  }
  const at = (what: OrderEvent['what']) => Date.parse(history.find((event) => event.what === what)?.at ?? '');
  return {
    model: order.model_end,
    whole,
    claim: at('claimed') - at('accepted'),
    steps: stepsOf(attempts),
    publish: at('done') - at('publishing'),
  };
}

/** Orders a prediction and waits for its end. Throws unless it is done at its first attempt. */
export async function timePrediction(
  platform: Pick<Platform, 'compute'>,
  { problem, model, data }: { readonly problem: string; readonly model: string; readonly data: string },
): Promise<Pick<OrderTimes, 'whole' | 'steps'>> {
  const { compute } = platform;
  const id = randomUUID();
  const order = { uuid: id, problem: randomUUID(), workflow: problem, model, data, status: 'todo' };
  const started = performance.now();
  await compute.pred({ body: preduplet.parse(order) });
  await untilDone(platform, id);
  const whole = performance.now() - started;
  const { status, attempts } = await compute.getOrder({ params: { id } });
  if (status !== 'done' || attempts.length !== 1) {
    throw new Error(`The prediction ${id} is ${status} after ${attempts.length} attempts`);
  }
  return { whole, steps: stepsOf(attempts) };
}

/** Orders a job on a data set and waits for its end. Throws unless it is done at its first attempt. */
export async function timeJob(
  platform: Pick<Platform, 'compute'>,
  { algo, data }: { readonly algo: string; readonly data: string },
): Promise<Pick<OrderTimes, 'whole' | 'steps'>> {
  const { compute } = platform;
  const id = randomUUID();
  const inputs = [{ path: '/in/data', resource: { type: 'data', uuid: data } }];
  const started = performance.now();
  await compute.postJob({ body: job.parse({ uuid: id, algo, command: ['/in/data'], inputs }) });
  await untilDone(platform, id);
  const whole = performance.now() - started;
  const { status, attempts } = await compute.getOrder({ params: { id } });
  if (status !== 'done' || attempts.length !== 1) {
    throw new Error(`The job ${id} is ${status} after ${attempts.length} attempts`);
  }
  return { whole, steps: stepsOf(attempts) };
}

/** The milliseconds of each step. */
function stepsOf(attempts: readonly { readonly steps: readonly StepRecord[] }[]): OrderTimes['steps'] {
  const steps = attempts.flatMap((attempt) => attempt.steps);
  return Object.fromEntries(steps.map(({ step, seconds }) => [step, seconds * 1000]));
}

/** What happened to an order until it was done; throws where it failed. */
async function untilDone({ compute }: Pick<Platform, 'compute'>, id: string): Promise<OrderEvent[]> {
  const history: OrderEvent[] = [];
  for await (const { data } of await compute.orderEvents({ params: { id }, headers: {} })) {
    history.push(data);
    if (data.what === 'done') break;
    if (data.status === 'failed') throw new Error(`The order ${id} failed: ${JSON.stringify(data)}`);
  }
  return history;
}

function orderOf({ problem, algo, train, test }: Subject): Learnuplet {
  return learnuplet.parse({
    uuid: randomUUID(),
    problem: randomUUID(),
    workflow: problem,
    algo,
    model_start: algo,
    model_end: randomUUID(),
    train_data: [train],
    test_data: [test],
    rank: 0,
    status: 'todo',
  });
}
