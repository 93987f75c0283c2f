import { type NetworkState, type NetworkView, PlatformError } from '@morpheo/common';
import type { Transaction } from 'kysely';
import { z } from 'zod';
import type { DiceboxDatabase, Schema } from '../db/schema.ts';
import { type Candidate, refusal } from './adoption.ts';
import type { DoneTraining, Network } from './artifact.ts';
import type { AdoptionRule } from './settings.ts';
import type { NetworkRow } from './tables.ts';

/** A network that is known, and how it stands. */
export interface KnownNetwork extends Candidate {
  readonly state: NetworkState;
  readonly reason: string;
  /** Somebody has asked for it. */
  readonly wanted: boolean;
  readonly otherCategories: boolean;
}

/** A training without a network that can be used, and why. */
export interface Unusable extends DoneTraining {
  readonly reason: string;
}

/** How many networks are told of, and looked at, at the most: the newest. */
const MOST_LISTED = 500;

/** A search may leave any number of networks that are newer. */
const IN_USE = ['current', 'draining', 'warming'] as const;

const names = z.array(z.string());
const labelsOf = z.record(z.string(), z.string());

/** The networks of the pictures that a service classifies, as its database has them. One of them is `current` at the most. */
export class Networks {
  readonly #database: DiceboxDatabase;
  readonly #set: string;

  /** `set`: of which pictures, as the label of trainings says; any where it is empty. */
  constructor(database: DiceboxDatabase, set = '') {
    this.#database = database;
    this.#set = set;
  }

  /** All, the newest first; 500 at the most, of which none that is used, or about to be, is missing. */
  async list(): Promise<KnownNetwork[]> {
    const rows = await this.#database.read
      .selectFrom('networks')
      .selectAll()
      .where('set_name', '=', this.#set)
      .orderBy((eb) => eb.case().when('state', 'in', IN_USE).then(0).else(1).end())
      .orderBy('seq', 'desc')
      .limit(MOST_LISTED)
      .execute();
    return rows.map(knownOf).toSorted((a, b) => b.seq - a.seq);
  }

  /** Those of some trainings of which something is known already. */
  async known(trainings: readonly string[]): Promise<ReadonlySet<string>> {
    if (trainings.length === 0) return new Set();
    const rows = await this.#database.read
      .selectFrom('networks')
      .select('training')
      .where('training', 'in', trainings)
      .execute();
    return new Set(rows.map(({ training }) => training));
  }

  /** Takes in what was found of trainings, in this order; what is known already stays as it is. */
  async add(found: readonly (Network | Unusable)[]): Promise<void> {
    if (found.length === 0) return;
    await this.#database.write(async (tx) => {
      const { last } = await tx
        .selectFrom('networks')
        .select((eb) => eb.fn.coalesce(eb.fn.max('seq'), eb.lit(0)).as('last'))
        .executeTakeFirstOrThrow();
      const rows = found.map((one, index) => ({
        ...rowOf(one),
        set_name: this.#set,
        seq: Number(last) + 1 + index,
      }));
      await tx
        .insertInto('networks')
        .values(rows)
        .onConflict((conflict) => conflict.column('training').doNothing())
        .execute();
    });
  }

  /**
   * Has a network that is known take the place of the one in use as soon as it is warm. Throws `wrong_state` where it cannot
   * be used, and `conflict` where its categories are others and that is not meant.
   */
  async want(training: string, otherCategories: boolean): Promise<KnownNetwork> {
    return await this.#database.write(async (tx) => {
      const { own, current } = await this.#both(tx, training);
      if (own.state === 'current') return own;
      if (own.digest === '') throw new PlatformError('wrong_state', own.reason);
      const why = refusal(own, current, { adopt: 'manual', margin: 0, wanted: true, otherCategories });
      if (why !== undefined)
        throw new PlatformError('conflict', `The network of training ${training} is not adopted: ${why}.`);
      // Only the last that somebody has asked for is.
      await tx.updateTable('networks').set({ wanted: 0 }).where('set_name', '=', this.#set).execute();
      const wanted = { wanted: 1, other_categories: Number(otherCategories) };
      await change(tx, training, { state: 'warming', reason: '', ...wanted });
      return { ...own, state: 'warming', reason: '', wanted: true, otherCategories };
    });
  }

  /** Never uses a network. Throws `not_found`, and `wrong_state` for the one that is in use. */
  async refuse(training: string, reason: string): Promise<KnownNetwork> {
    return await this.#database.write(async (tx) => {
      const { own } = await this.#both(tx, training);
      if (own.state === 'current')
        throw new PlatformError('wrong_state', 'It is in use: adopt another one in its place.');
      await change(tx, training, { state: 'refused', reason, wanted: 0 });
      return { ...own, ...{ state: 'refused', reason, wanted: false } };
    });
  }

  /** Notes how a network stands that is not in use, and why; one that was refused meanwhile stays so. */
  async note(training: string, state: Exclude<NetworkState, 'current'>, reason = ''): Promise<void> {
    await this.#database.write(async (tx) => {
      await tx
        .updateTable('networks')
        .set({ state, reason, ...(state === 'refused' ? { wanted: 0 } : {}) })
        .where('training', '=', training)
        .where('state', 'not in', ['current', 'refused'])
        .execute();
    });
  }

  /**
   * Puts a network that is warm in the place of the one in use, which drains from then on. What has changed since it was
   * chosen counts: then it is refused, or nothing happens, and the answer is false.
   */
  async adopt(training: string, rule: AdoptionRule): Promise<boolean> {
    return await this.#database.write(async (tx) => {
      const { own, current } = await this.#both(tx, training);
      if (own.state !== 'warming') return own.state === 'current';
      const why = refusal(own, current, { ...rule, ...own });
      if (why !== undefined) {
        await change(tx, training, { state: 'refused', reason: why, wanted: 0 });
        return false;
      }
      if (current !== undefined) {
        const reason = `The network of training ${training} has taken its place.`;
        await change(tx, current.training, { state: 'draining', reason });
      }
      await change(tx, training, { state: 'current', reason: '', wanted: 0 });
      return true;
    });
  }

  async #both(
    tx: Transaction<Schema>,
    training: string,
  ): Promise<{ readonly own: KnownNetwork; readonly current: KnownNetwork | undefined }> {
    const rows = await tx
      .selectFrom('networks')
      .selectAll()
      .where('set_name', '=', this.#set)
      .where((eb) => eb.or([eb('training', '=', training), eb('state', '=', 'current')]))
      .execute();
    const all = rows.map(knownOf);
    const own = all.find((one) => one.training === training);
    if (own === undefined)
      throw new PlatformError('not_found', `No network of a training ${training} is known here.`);
    return { own, current: all.find(({ state }) => state === 'current') };
  }
}

async function change(
  tx: Transaction<Schema>,
  training: string,
  to: Partial<Pick<NetworkRow, 'state' | 'reason' | 'wanted' | 'other_categories'>>,
): Promise<void> {
  await tx.updateTable('networks').set(to).where('training', '=', training).execute();
}

/** A network as it is told. */
export function viewOf(network: KnownNetwork): NetworkView {
  const { training, state, reason, digest, accuracy, categories, width, height, channels } = network;
  const told = { training, state, ...(reason === '' ? {} : { reason }) };
  if (digest === '') return told;
  return { ...told, digest, accuracy, categories: [...categories], width, height, channels };
}

function rowOf(found: Network | Unusable) {
  const labels = JSON.stringify(found.labels);
  if ('reason' in found) {
    const none = { digest: '', accuracy: 0, categories: '[]', width: 0, height: 0, channels: 0 };
    return { ...found, ...none, labels, state: 'refused' as const };
  }
  return { ...found, labels, categories: JSON.stringify(found.categories), state: 'candidate' as const };
}

function knownOf({
  set_name: _set,
  other_categories,
  wanted,
  labels,
  categories,
  channels,
  ...row
}: NetworkRow): KnownNetwork {
  return {
    ...row,
    labels: labelsOf.parse(JSON.parse(labels)),
    channels: channels === 3 ? 3 : 1,
    categories: names.parse(JSON.parse(categories)),
    wanted: wanted === 1,
    otherCategories: other_categories === 1,
  };
}
