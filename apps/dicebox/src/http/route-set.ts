import type { Api, Contract, DiceboxDialect, Endpoints, Handlers, PictureSetKey } from '@morpheo/common';
import type { Check } from '@morpheo/service/http';
import type { Log } from '@morpheo/service/log';
import type { Metrics } from '@morpheo/service/metrics';
import type { Tracer } from '@morpheo/service/trace';
import type { ClassificationOptions } from '../classification/settings.ts';
import type { Peers } from '../clients.ts';
import type { DiceboxDatabase } from '../db/schema.ts';
import type { TrainingDefaults } from '../training/settings.ts';

/** What every set of routes is made of. */
export interface DiceboxParts extends Peers {
  readonly database: DiceboxDatabase;
  /** The set of pictures of those that name none. */
  readonly pictureSet?: PictureSetKey | undefined;
  readonly classification: ClassificationOptions;
  /** How trainings are that do not say. */
  readonly training: TrainingDefaults;
  /** A folder of this service's own, for what may be lost. */
  readonly folder: string;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly tracer?: Tracer | undefined;
  /** Aborted when the service stops: nobody waits any longer. */
  readonly stopping: AbortSignal;
}

/** Some routes with what answers them, in both dialects. */
export interface RouteSet {
  readonly endpoints: Readonly<Record<DiceboxDialect, Endpoints>>;
  readonly api: Api<Contract>;
}

/** A set of routes that is open: it plugs into the service. Closing it ends what it does by itself. */
export interface OpenedRoutes extends AsyncDisposable {
  readonly routes: RouteSet;
  /** Further parts that `/ready` asks, by name. */
  readonly checks?: Readonly<Record<string, Check>> | undefined;
}

/** Routes of the originals in both dialects, and routes of our own, with what answers all of them. */
export function routeSet<
  const Old extends Endpoints,
  const New extends Endpoints,
  const Own extends Endpoints,
>(
  { '2017': older, '2019': newer }: { readonly '2017': Old; readonly '2019': New },
  own: Own,
  handlers: Handlers<Old> & Handlers<New> & Handlers<Own>,
): RouteSet {
  return {
    endpoints: { '2017': { ...older, ...own }, '2019': { ...newer, ...own } },
    // Each handler fits its own route, which the parameters say; together they answer any of them.
    api: handlers as unknown as Api<Contract>,
  };
}

/** All routes of some sets. Throws where two of them have a key in common: one would answer for the other. */
export function joinSets(sets: readonly RouteSet[]): RouteSet {
  const keys = sets.flatMap(({ api }) => Object.keys(api));
  const twice = keys.find((key, index) => keys.indexOf(key) < index);
  if (twice !== undefined) throw new TypeError(`Two sets of routes answer ${twice}.`);
  const join = (dialect: DiceboxDialect): Endpoints =>
    Object.assign({}, ...sets.map(({ endpoints }) => endpoints[dialect]));
  return {
    endpoints: { '2017': join('2017'), '2019': join('2019') },
    api: Object.assign({}, ...sets.map(({ api }) => api)),
  };
}
