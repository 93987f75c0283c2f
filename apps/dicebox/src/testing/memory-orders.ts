import {
  type Api,
  type ComputeContract,
  type Job,
  type MetricsPage,
  type OrderSummary,
  type OrderView,
  PlatformError,
} from '@morpheo/common';

type Calls = Pick<
  Api<ComputeContract>,
  'postJob' | 'getOrder' | 'listOrders' | 'orderMetrics' | 'whyOrder' | 'cancelOrder' | 'getQueue'
>;

/** Jobs of compute-api in memory, as far as trainings need them. */
export class MemoryOrders implements Calls {
  readonly jobs = new Map<string, Job>();
  readonly views = new Map<string, OrderView>();
  readonly lines = new Map<string, MetricsPage['items']>();

  getQueue = async () => ({ paused: false, counts: {} });

  postJob: Calls['postJob'] = async ({ body }) => {
    const there = this.jobs.get(body.uuid);
    if (there !== undefined && JSON.stringify(there) !== JSON.stringify(body))
      throw new PlatformError('conflict', 'Another order has this id.');
    this.jobs.set(body.uuid, body);
    const inputs = (body.inputs ?? []).map(({ inline: _, ...input }) => input);
    if (there === undefined)
      this.views.set(body.uuid, {
        ...{ id: body.uuid, kind: 'job', status: 'todo', gpus: 0, owner: 'service', priority: 0, attempt: 0 },
        ...{ created_at: '2019-01-01T12:00:00.000Z', attempts: [], algo: body.algo, needs: body.needs },
        job: { inputs, output: body.output, labels: body.labels },
      });
    return { uuid: body.uuid, output: body.output };
  };

  getOrder: Calls['getOrder'] = async ({ params: { id } }) => this.#view(id);

  listOrders: Calls['listOrders'] = async ({ query: { label = '', status } }) => {
    const [name = '', value] = label.split('=');
    const items: OrderSummary[] = [...this.views.values()]
      .filter(
        (view) => view.job?.labels?.[name] === value && (status === undefined || view.status === status),
      )
      .toReversed();
    return { items, total: items.length };
  };

  orderMetrics: Calls['orderMetrics'] = async ({ params: { id }, query: { limit = 30, cursor = '0' } }) => {
    const all = this.lines.get(id) ?? [];
    const end = Number(cursor) + limit;
    return { items: all.slice(Number(cursor), end), ...(end < all.length && { next: String(end) }) };
  };

  whyOrder: Calls['whyOrder'] = async () => ({ code: 'no_worker', sentence: 'No worker is there.' });

  cancelOrder: Calls['cancelOrder'] = async ({ params: { id } }) => {
    this.change(id, { status: 'cancelled' });
    return this.#view(id);
  };

  /** Has an order stand otherwise. */
  change(id: string, changes: Partial<OrderView>): void {
    this.views.set(id, { ...this.#view(id), ...changes });
  }

  #view(id: string): OrderView {
    const view = this.views.get(id);
    if (view === undefined) throw new PlatformError('not_found', 'There is no such order.');
    return view;
  }
}
