import { buffer } from 'node:stream/consumers';
import { type Failure, type Job, job, type OrderView, PlatformError, type RunnerView } from '@morpheo/common';
import type { ComputeCalls, StorageCalls } from '../clients.ts';
import { orderOf, outputOf } from '../jobs/ids.ts';

/** How the order of a job ends: with files, with an error, or as somebody wished. */
export type Ending =
  | { readonly files: Readonly<Record<string, string>> }
  | { readonly failure: Failure }
  | 'cancelled';

interface Placed {
  readonly job: Job;
  view: OrderView;
}

/**
 * compute-api and storage-api in memory, as far as shepherd-api calls them, with their errors. The test is the worker: it
 * begins and ends orders.
 */
export class FakePlatform {
  /** By the ids of orders. */
  readonly #orders = new Map<string, Placed>();
  /** What storage has: the bytes of data, and the files of outputs, by their ids. */
  readonly data = new Map<string, Buffer>();
  readonly outputs = new Map<string, Map<string, Buffer>>();
  readonly runners: RunnerView[] = [];
  /** Which of both are away. */
  readonly away = { compute: false, storage: false };
  /** How often compute-api was asked how an order stands. */
  asked = 0;
  /** What compute-api throws at the next jobs, in place of taking them. */
  readonly refusals: Error[] = [];

  readonly compute: ComputeCalls = {
    postJob: async ({ body }) => {
      this.#reach('compute');
      const refusal = this.refusals.shift();
      if (refusal !== undefined) throw refusal;
      const asked = job.parse(body);
      const known = this.#orders.get(asked.uuid);
      if (known !== undefined && JSON.stringify(known.job) !== JSON.stringify(asked))
        throw new PlatformError('conflict', 'Another order has this id.');
      if (known === undefined) this.#orders.set(asked.uuid, { job: asked, view: viewOf(asked) });
      return { uuid: asked.uuid, output: asked.output };
    },
    getOrder: async ({ params: { id } }) => {
      this.asked += 1;
      this.#reach('compute');
      const found = this.#orders.get(id);
      if (found === undefined) throw new PlatformError('not_found', 'There is no such order.');
      return found.view;
    },
    listOrders: async ({ query }) => {
      this.#reach('compute');
      const [name = '', value] = query.label?.split('=') ?? [];
      const items = [...this.#orders.values()]
        .filter(({ job: { labels = {} }, view }) => view.status === query.status && labels[name] === value)
        .map(({ view }) => view);
      return { items, total: items.length };
    },
    listRunners: async () => {
      this.#reach('compute');
      return { items: this.runners };
    },
    getQueue: async () => {
      this.#reach('compute');
      return { paused: false, counts: {} };
    },
  };

  readonly storage: StorageCalls = {
    upload: async ({ query: { uuid = '' }, body }) => {
      this.#reach('storage');
      if (this.data.has(uuid)) throw new PlatformError('conflict', 'There is such a thing.');
      this.data.set(uuid, await buffer(body.body));
      return { uuid, timestamp_upload: 0 };
    },
    remove: async ({ params: { type, uuid } }) => {
      this.#reach('storage');
      const things: Map<string, unknown> = type === 'output' ? this.outputs : this.data;
      if (!things.delete(uuid)) throw new PlatformError('not_found', 'There is no such thing.');
    },
    listOutputFiles: async ({ params: { uuid } }) => {
      this.#reach('storage');
      const files = this.outputs.get(uuid);
      if (files === undefined) throw new PlatformError('not_found', 'There is no such output.');
      const items = [...files].map(([path, bytes]) => ({ path, size: bytes.length, sha256: '0'.repeat(64) }));
      return { items };
    },
    getOutputFile: async ({ params: { uuid }, query: { path } }) => {
      this.#reach('storage');
      const bytes = this.outputs.get(uuid)?.get(path);
      if (bytes === undefined) throw new PlatformError('not_found', 'There is no such file.');
      return { status: 200, headers: {}, body: new Blob([new Uint8Array(bytes)]).stream() };
    },
  };

  /** The order of a job as it was posted; undefined where none was. */
  jobOf(id: string): Job | undefined {
    return this.#orders.get(orderOf(id))?.job;
  }

  /** The files that the runner of a job finds, as texts by their paths. */
  inputsOf(id: string): Record<string, string> {
    const inputs = this.#placed(id).job.inputs ?? [];
    return Object.fromEntries(
      inputs.map(({ path, inline, resource }) => {
        const bytes =
          inline === undefined ? this.data.get(resource?.uuid ?? '') : Buffer.from(inline, 'base64');
        return [path, String(bytes)];
      }),
    );
  }

  /** Takes the order of a job to a worker. */
  begin(id: string): void {
    const placed = this.#placed(id);
    placed.view = { ...placed.view, status: 'pending', started_at: '2019-01-01T12:10:00.000Z' };
  }

  /** Ends the order of a job, of which nobody is told. */
  end(id: string, ending: Ending): void {
    const placed = this.#placed(id);
    const ended = { ...placed.view, ended_at: '2019-01-01T12:15:00.005Z' };
    if (ending === 'cancelled') placed.view = { ...ended, status: 'cancelled' };
    else if ('failure' in ending) placed.view = { ...ended, status: 'failed', failure: ending.failure };
    else {
      const files = Object.entries(ending.files).map(([path, text]) => [path, Buffer.from(text)] as const);
      this.outputs.set(outputOf(id), new Map(files));
      placed.view = { ...ended, status: 'done', result: { uuid: outputOf(id) } };
    }
  }

  /** Tells the callback of a job that it has ended, and resolves to the status of the answer. */
  async tell(id: string): Promise<number> {
    const { callback = '' } = this.#placed(id).job;
    return (await fetch(callback, { method: 'POST', body: '{}' })).status;
  }

  /** A worker does a job at once, and its callback is told. */
  async work(id: string, ending: Ending): Promise<void> {
    this.begin(id);
    this.end(id, ending);
    await this.tell(id);
  }

  /** Forgets an order, as the retention of compute-api does. */
  forget(id: string): void {
    this.#orders.delete(orderOf(id));
  }

  #placed(id: string): Placed {
    const placed = this.#orders.get(orderOf(id));
    if (placed === undefined) throw new Error(`job ${id} has no order`);
    return placed;
  }

  #reach(what: keyof typeof this.away): void {
    if (this.away[what]) throw new PlatformError('unavailable', `${what} got no answer.`);
  }
}

function viewOf({ uuid, algo, image, sheep, warm, inputs = [], labels }: Job): OrderView {
  const shown = inputs.map(({ inline, ...input }) => ({
    ...input,
    ...(inline === undefined ? {} : { inline_bytes: inline.length }),
  }));
  return {
    ...{ id: uuid, kind: 'job', status: 'todo', gpus: 0, owner: 'shepherd', priority: 0, attempt: 0 },
    ...{ created_at: '2019-01-01T12:00:00.000Z', attempts: [] },
    ...(algo === undefined ? {} : { algo }),
    job: { image, sheep, warm, inputs: shown, labels },
  };
}
