import { randomUUID } from 'node:crypto';
import {
  hasEnded,
  isPlatformError,
  type MetricsPage,
  type OrderSummary,
  PAGE,
  PlatformError,
  type TrainingRequest,
  type TrainingSummary,
  type TrainingView,
} from '@morpheo/common';
import { canonicalJson, json } from '@morpheo/search';
import type { Peers } from '../clients.ts';
import type { PictureSets, Viewer } from '../sensory/sets.ts';
import type { Snapshots } from '../sensory/snapshots.ts';
import { jobOf, networkOf, type TrainingPictures } from './job.ts';
import { digestOf, isByAccount, LABELS, labelsOf, ownerLabel } from './labels.ts';
import type { TrainingDefaults } from './settings.ts';
import { keepTrainer, type TrainerStorage } from './trainer.ts';
import { bestOf, epochsOf, summaryOf } from './views.ts';

/** What trainings are made with. */
export interface TrainingsParts {
  readonly compute: Pick<
    Peers['compute'],
    'postJob' | 'getOrder' | 'listOrders' | 'orderMetrics' | 'whyOrder' | 'cancelOrder'
  >;
  readonly storage: TrainerStorage;
  readonly sets: PictureSets;
  readonly snapshots: Snapshots;
  readonly defaults: TrainingDefaults;
  /** The account by which dicebox orders. Absent: compute-api asks nobody who they are. */
  readonly account?: string | undefined;
}

/** Which trainings a list shows. */
export interface TrainingFilter {
  readonly set?: string | undefined;
  readonly status?: OrderSummary['status'] | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** Trainings, which are orders of compute-api and nothing else. */
export class Trainings {
  readonly #parts: TrainingsParts;

  constructor(parts: TrainingsParts) {
    this.#parts = parts;
  }

  /**
   * Orders a training; the same request again is the same training. Throws `conflict` where another one has its id,
   * `not_found` for a set or a start that the viewer does not have, `invalid_request` for pictures or a network that cannot be
   * trained.
   */
  async order(asked: TrainingRequest, viewer: Viewer, signal?: AbortSignal): Promise<TrainingView> {
    const { id = randomUUID(), ...rest } = asked;
    const request = digestOf(`${viewer.name}\n${canonicalJson(json.parse(rest))}`);
    const there = asked.id === undefined ? undefined : await this.#find(id, signal);
    if (there !== undefined) return await this.#same(there, request, viewer, signal);
    const set = await this.#parts.sets.get(asked.set, viewer);
    const pictures = await this.#pictures(asked.set, viewer);
    const { snapshot } = pictures;
    const network = networkOf(asked.network, this.#parts.defaults, { set, categories: snapshot.categories });
    const labels = labelsOf({
      ...{ owner: ownerLabel(set.owner), set, request, pictures: snapshot.pictures },
      network: 'preset' in network ? String(network.preset) : 'genome',
      epochs: asked.epochs ?? this.#parts.defaults.trainEpochs,
    });
    const job = jobOf(
      {
        ...{ id, request: asked, network, pictures, labels },
        test: asked.test_set === undefined ? undefined : await this.#pictures(asked.test_set, viewer),
        start: asked.start === undefined ? undefined : await this.#startOf(asked.start, viewer, signal),
      },
      this.#parts.defaults,
    );
    await keepTrainer(this.#parts.storage, signal);
    try {
      await this.#parts.compute.postJob({ body: job }, { signal });
    } catch (error) {
      // The same request came twice at once, and pictures in between.
      const other = isPlatformError(error, 'conflict') ? await this.#find(id, signal) : undefined;
      if (other === undefined) throw error;
      return await this.#same(other, request, viewer, signal);
    }
    return await this.#view(await this.#get(id, viewer, signal), signal);
  }

  /** Those that the viewer may see, newest first. */
  async list(filter: TrainingFilter, viewer: Viewer, signal?: AbortSignal) {
    const { set, ...page } = filter;
    if (set !== undefined) await this.#parts.sets.get(set, viewer);
    const label =
      set !== undefined
        ? `${LABELS.setId}=${set}`
        : viewer.isAdmin
          ? `${LABELS.training}=request`
          : `${LABELS.owner}=${ownerLabel(viewer.name)}`;
    const { items, ...rest } = await this.#parts.compute.listOrders(
      { query: { kind: 'job', label, ...page } },
      { signal },
    );
    return { items: items.filter((order) => this.#isOf(order, viewer)).map(summaryOf), ...rest };
  }

  /** One of them, as a list shows it. Throws `not_found`. */
  async summary(id: string, viewer: Viewer, signal?: AbortSignal): Promise<TrainingSummary> {
    return summaryOf(await this.#get(id, viewer, signal));
  }

  /** One of them, with its epochs. Throws `not_found`. */
  async get(id: string, viewer: Viewer, signal?: AbortSignal): Promise<TrainingView> {
    return await this.#view(await this.#get(id, viewer, signal), signal);
  }

  /** Ends one. Throws `not_found`, and `wrong_state` where it is done or has failed. */
  async cancel(id: string, viewer: Viewer, signal?: AbortSignal): Promise<TrainingView> {
    await this.#get(id, viewer, signal);
    return await this.#view(await this.#parts.compute.cancelOrder({ params: { id } }, { signal }), signal);
  }

  async #pictures(id: string, viewer: Viewer): Promise<TrainingPictures> {
    const set = await this.#parts.sets.get(id, viewer);
    const snapshot = await this.#parts.snapshots.take(set);
    return { snapshot, shards: await this.#parts.snapshots.shards(snapshot) };
  }

  async #startOf(training: string, viewer: Viewer, signal: AbortSignal | undefined): Promise<string> {
    const order = await this.#get(training, viewer, signal);
    if (order.status === 'done' && order.result !== undefined) return order.result.uuid;
    throw new PlatformError(
      'invalid_request',
      `The training ${training} is ${order.status}: only one that is done can be gone on from.`,
    );
  }

  /** An order that was found to have the id of a request. */
  async #same(
    order: OrderSummary,
    request: string,
    viewer: Viewer,
    signal: AbortSignal | undefined,
  ): Promise<TrainingView> {
    if (order.job?.labels?.[LABELS.request] === request && this.#isOf(order, viewer))
      return await this.#view(order, signal);
    throw new PlatformError(
      'conflict',
      `Another training, or order, has the id ${order.id}: name another one, or none.`,
    );
  }

  /** Whether an order is a training that the viewer may see. */
  #isOf(order: OrderSummary, { name, isAdmin }: Viewer): boolean {
    const owner = order.job?.labels?.[LABELS.owner];
    if (owner === undefined || !isByAccount(order, this.#parts.account)) return false;
    return isAdmin || owner === ownerLabel(name);
  }

  async #find(id: string, signal: AbortSignal | undefined): Promise<OrderSummary | undefined> {
    try {
      return await this.#parts.compute.getOrder({ params: { id } }, { signal });
    } catch (error) {
      if (isPlatformError(error, 'not_found')) return undefined;
      throw error;
    }
  }

  async #get(id: string, viewer: Viewer, signal: AbortSignal | undefined): Promise<OrderSummary> {
    const order = await this.#find(id, signal);
    if (order !== undefined && this.#isOf(order, viewer)) return order;
    throw new PlatformError('not_found', `There is no training ${id}.`);
  }

  async #view(order: OrderSummary, signal: AbortSignal | undefined): Promise<TrainingView> {
    const epochs = epochsOf(await this.#lines(order.id, signal));
    const waits = !hasEnded(order.status) && order.status !== 'pending';
    const why = waits
      ? (await this.#parts.compute.whyOrder({ params: { id: order.id } }, { signal })).sentence
      : undefined;
    const best = bestOf(epochs);
    const last = epochs.at(-1);
    return {
      ...summaryOf(order),
      epochs,
      ...(best === undefined ? {} : { best }),
      ...(last === undefined ? {} : { engine: last.engine, device: last.device }),
      ...(why === undefined ? {} : { why }),
    };
  }

  async #lines(id: string, signal: AbortSignal | undefined): Promise<MetricsPage['items']> {
    const lines: MetricsPage['items'] = [];
    let cursor: string | undefined;
    do {
      const query = { limit: PAGE.most, cursor };
      const page = await this.#parts.compute.orderMetrics({ params: { id }, query }, { signal });
      lines.push(...page.items);
      cursor = page.next;
    } while (cursor !== undefined);
    return lines;
  }
}
