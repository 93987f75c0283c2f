import { randomUUID } from 'node:crypto';
import { openNsqBroker } from '@morpheo/service/broker';
import { silentLog } from '@morpheo/service/log';

/** A busy machine takes its time: what is not known to have come is published again, and tests count messages. */
export const PATIENT_TIMES = {
  publishMs: 120_000,
  leastShareMs: 60_000,
  subscribeMs: 60_000,
  handshakeMs: 60_000,
};

/** Where a worker of the original finds everything, by its own settings. */
export interface ForeignWorkerOptions {
  readonly nsqd: string;
  readonly orchestrator: string;
  readonly storage: string;
  readonly credentials: { readonly name: string; readonly secret: string };
  /** Called with what each message calls its order. */
  readonly onMessage: (uuid: string) => void;
}

/** An order as a message of the queue has it: of a training what has `model_end`, else of a prediction. */
interface Order {
  readonly uuid: string;
  readonly worker: string;
  readonly workflow: string;
  readonly algo: string;
  readonly model_end?: string;
  readonly train_data: readonly string[];
  readonly test_data: readonly string[];
  readonly model: string;
  readonly data: string;
}

/**
 * A worker that makes the calls of the original, in its order and with its bodies, and runs nothing: whatever goes
 * wrong, it reports that the order failed, and it never tries a call again. Source: wire formats of the originals.
 */
export async function startForeignWorker(options: ForeignWorkerOptions): Promise<AsyncDisposable> {
  const broker = openNsqBroker({ nsqds: [options.nsqd], times: PATIENT_TIMES, log: silentLog });
  for (const topic of ['train', 'prediction']) {
    const handle = async (message: string): Promise<void> =>
      await work(JSON.parse(message) as Order, options);
    await broker.subscribe({ topic, channel: 'compute', concurrency: 2, handle });
  }
  return broker;
}

async function work(order: Order, options: ForeignWorkerOptions): Promise<void> {
  options.onMessage(order.uuid);
  const call = caller(options);
  const report = order.model_end === undefined ? 'preddone' : 'learndone';
  const tell = async (body: object) =>
    await call(`${options.orchestrator}/${report}/${order.uuid}`, JSON.stringify(body));
  try {
    await tell(await (order.model_end === undefined ? predict(order, options) : learn(order, options)));
  } catch {
    await tell({ status: 'failed' }).catch(() => undefined);
  }
}

async function learn(order: Order, options: ForeignWorkerOptions): Promise<object> {
  const { storage, orchestrator } = options;
  const { uuid, worker, workflow, algo, train_data, test_data, model_end } = order;
  const call = caller(options);
  await call(`${orchestrator}/worker/learnuplet/${uuid}`, JSON.stringify({ worker }));
  await call(`${storage}/problem/${workflow}/blob`);
  await call(`${storage}/algo/${algo}/blob`);
  for (const id of [...train_data, ...test_data]) await call(`${storage}/data/${id}/blob`);
  await call(`${storage}/algo/${algo}`);
  await call(`${storage}/model?uuid=${model_end}&algo=${algo}`, Buffer.from('a model'));
  const scores = (ids: readonly string[]) => Object.fromEntries(ids.map((id) => [id, 0.5]));
  return { status: 'done', perf: 0.5, train_perf: scores(train_data), test_perf: scores(test_data) };
}

async function predict(order: Order, options: ForeignWorkerOptions): Promise<object> {
  const { storage, orchestrator } = options;
  const { uuid, worker, model, data } = order;
  const call = caller(options);
  await call(`${orchestrator}/worker/preduplet/${uuid}`, JSON.stringify({ worker }));
  await call(`${storage}/data/${data}/blob`);
  await call(`${storage}/model/${model}/blob`);
  await call(`${storage}/model/${model}`);
  const [prediction, blob] = [randomUUID(), 'a prediction'];
  const form = new FormData();
  form.set('uuid', prediction);
  form.set('size', String(blob.length));
  form.set('blob', new Blob([blob]));
  await call(`${storage}/prediction`, form);
  return { status: 'done', prediction_storage_uuid: prediction };
}

/** Calls with the worker's credentials: a GET without a body, else a POST. Throws for any answer but success. */
function caller({ credentials: { name, secret } }: ForeignWorkerOptions) {
  const authorization = `Basic ${btoa(`${name}:${secret}`)}`;
  return async (url: string, body?: string | Uint8Array<ArrayBuffer> | FormData): Promise<void> => {
    const type = typeof body === 'string' ? { 'content-type': 'application/json' } : {};
    const init = body === undefined ? {} : { method: 'POST', body };
    const answer = await fetch(url, { headers: { authorization, ...type }, ...init });
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  };
}
