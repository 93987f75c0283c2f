import { hash, randomUUID } from 'node:crypto';
import {
  type Api,
  type CallRequest,
  type ComputeContract,
  type OrderView,
  PlatformError,
  type StorageContract,
  type WorkerView,
} from '@morpheo/common';

/** What a network of a test is like, where it is not the usual one. */
export interface FakeNetwork {
  readonly categories?: readonly string[];
  readonly accuracy?: number;
  readonly set?: string;
  /** Whose order its training is. */
  readonly owner?: string;
  /** Whose pictures they are. */
  readonly setOwner?: string;
  /** Labels of its order beside those of dicebox. */
  readonly labels?: Readonly<Record<string, string>>;
  /** How the order of its training stands. */
  readonly status?: OrderView['status'];
  /** Changes its description, before that is written. */
  readonly describe?: (description: Record<string, unknown>) => Record<string, unknown>;
  /** Files that it has otherwise, or has not (undefined). */
  readonly files?: Readonly<Record<string, Buffer | undefined>>;
}

/** The usual categories of tests: a picture is of the one whose share of the greys its mean is in. */
export const GREYS = ['black', 'dark', 'light', 'white'] as const;

const SIZE = 4;
const TRAINER = { algo: randomUUID(), labels: { trainer: 'fake' } };

/**
 * compute-api and storage-api in memory, as far as classification calls them: trainings that are done, what they have left,
 * and networks that answer calls.
 */
export class FakeTrainings {
  /** How the next calls are answered, in place of what the network says; undefined: as usual. */
  readonly faults: (((request: CallRequest) => Promise<void>) | undefined)[] = [];
  /** What was asked, by the outputs of the networks and the number of pictures. */
  readonly calls: { readonly output: string; readonly count: number }[] = [];
  /** Holds calls back until it is resolved, by the output of a network. */
  readonly gates = new Map<string, Promise<void>>();
  /** The labels of the workers that live. */
  readonly workers: Readonly<Record<string, string>>[] = [TRAINER.labels];
  /** How many orders a page has. */
  pageSize = 200;
  /** Outputs that storage refuses to give, each with its error. */
  readonly refused = new Map<string, PlatformError>();
  readonly #orders: OrderView[] = [];
  readonly #outputs = new Map<string, Map<string, Buffer>>();

  readonly compute: Pick<
    Api<ComputeContract>,
    'listOrders' | 'getOrder' | 'postCall' | 'getQueue' | 'listWorkers'
  > = {
    listWorkers: async () => ({ items: this.workers.map(workerOf) }),
    getQueue: async () => ({ paused: false, counts: {} }),
    listOrders: async ({ query: { status, label = '', cursor = '0' } }) => {
      const [name = '', value] = label.split('=');
      const items = this.#orders
        .filter((order) => order.status === status && order.job?.labels?.[name] === value)
        .toReversed();
      const [from, to] = [Number(cursor), Number(cursor) + this.pageSize];
      const next = to < items.length ? { next: String(to) } : {};
      return { items: items.slice(from, to), total: items.length, ...next };
    },
    getOrder: async ({ params: { id } }) => {
      const found = this.#orders.find((order) => order.id === id);
      if (found === undefined) throw new PlatformError('not_found', 'There is no such order.');
      return found;
    },
    postCall: async ({ body }) => {
      await this.faults.shift()?.(body);
      return await this.#answer(body);
    },
  };

  readonly storage: Pick<Api<StorageContract>, 'listOutputFiles' | 'getOutputFile'> = {
    listOutputFiles: async ({ params: { uuid } }) => ({
      items: [...this.#filesOf(uuid)].map(([path, bytes]) => ({
        ...{ path, size: bytes.length, sha256: hash('sha256', bytes, 'hex') },
      })),
    }),
    getOutputFile: async ({ params: { uuid }, query: { path } }) => {
      const bytes = this.#filesOf(uuid).get(path);
      if (bytes === undefined) throw new PlatformError('not_found', 'There is no such file.');
      return { status: 200, headers: {}, body: new Blob([new Uint8Array(bytes)]).stream() };
    },
  };

  /** A training ends; returns its id. */
  train({
    categories = GREYS,
    accuracy = 0.8,
    set = 'greys_4x4',
    owner = 'dicebox',
    setOwner = 'ann',
    labels,
    status = 'done',
    describe,
    files,
  }: FakeNetwork = {}): string {
    const [training, output] = [randomUUID(), randomUUID()];
    const weights = Buffer.alloc(4 * SIZE * SIZE * categories.length, training);
    const shape = [SIZE * SIZE, categories.length];
    const description = {
      ...{ version: 1, categories, width: SIZE, height: SIZE, channels: 1, accuracy },
      genome: { input_shape: [SIZE, SIZE, 1], output_size: categories.length, optimizer: 'sgd', layers: [] },
      weights: {
        ...{ file: 'weights.bin', digest: hash('sha256', weights, 'hex') },
        tensors: [{ name: 'kernel', shape, dtype: 'float32', offset: 0 }],
      },
    };
    const all: [string, Buffer | undefined][] = Object.entries({
      'network/network.json': Buffer.from(JSON.stringify(describe?.(description) ?? description)),
      'network/weights.bin': weights,
      ...files,
    });
    this.#outputs.set(
      output,
      new Map(all.filter((entry): entry is [string, Buffer] => entry[1] !== undefined)),
    );
    this.#orders.push({
      ...{ id: training, kind: 'job', status, gpus: 0, owner, priority: 0, attempt: 1 },
      ...{ created_at: '2019-01-01T12:00:00.000Z', attempts: [] },
      ...{ algo: TRAINER.algo, needs: { labels: TRAINER.labels } },
      job: { inputs: [], output, labels: { 'dicebox.set': set, 'dicebox.owner': setOwner, ...labels } },
      result: { uuid: output },
    });
    return training;
  }

  /** A training that was ordered ends. */
  end(training: string): void {
    const at = this.#orders.findIndex(({ id }) => id === training);
    const order = this.#orders[at];
    if (order !== undefined) this.#orders[at] = { ...order, status: 'done' };
  }

  /** What the training has left is removed. */
  forget(training: string): void {
    const order = this.#orders.find(({ id }) => id === training);
    this.#outputs.delete(order?.job?.output ?? '');
  }

  /** A training as it is read, with what it has left. */
  doneOf(training: string) {
    const output = this.#orders.find(({ id }) => id === training)?.job?.output ?? '';
    return { training, output, ...TRAINER };
  }

  #filesOf(output: string): Map<string, Buffer> {
    const error = this.refused.get(output);
    if (error !== undefined) throw error;
    const files = this.#outputs.get(output);
    if (files === undefined) throw new PlatformError('not_found', 'There is no such output.');
    return files;
  }

  async #answer({ inputs = [] }: CallRequest) {
    const byPath = new Map(inputs.map((input) => [input.path, input]));
    const output = byPath.get('/network')?.resource?.uuid ?? '';
    const { count } = JSON.parse(inlineOf(byPath.get('/in/request.json')).toString());
    const pixels = inlineOf(byPath.get('/in/pictures.u8'));
    this.calls.push({ output, count });
    await this.gates.get(output);
    const { categories } = JSON.parse(String(this.#filesOf(output).get('network/network.json')));
    const classes = Array.from({ length: count }, (_, at) =>
      greyOf(pixels.subarray(at * 16, at * 16 + 16), categories),
    );
    const rows = classes.flatMap((index) =>
      categories.map((_: string, at: number) => (at === index ? 0.75 : 0.25 / (categories.length - 1))),
    );
    const outputs = [
      { name: 'probabilities.f32', data: Buffer.from(Float32Array.from(rows).buffer).toString('base64') },
      { name: 'answer.json', data: Buffer.from(JSON.stringify({ categories, classes })).toString('base64') },
    ];
    return { call: '0'.repeat(12), outputs, reused: 0, ms: { waited: 0, started: 0, ran: 1 } };
  }
}

function workerOf(labels: Readonly<Record<string, string>>): WorkerView {
  return {
    ...{ id: randomUUID(), name: 'one', runtime: 'process', labels, alive: true, running: [] },
    ...{ last_seen_at: '2019-01-01T12:00:00.000Z', slots: { learn: 0, predict: 0, job: 1 } },
    gpus: { devices: [], slots: 1, leased: 0 },
  };
}

function inlineOf(input: { readonly inline?: string | undefined } | undefined): Buffer {
  return Buffer.from(input?.inline ?? '', 'base64');
}

function greyOf(pixels: Uint8Array, categories: readonly string[]): number {
  const mean = pixels.reduce((all, value) => all + value, 0) / pixels.length;
  return Math.floor((mean / 256) * categories.length);
}
