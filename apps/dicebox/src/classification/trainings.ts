import { type ErrorCode, isPlatformError, type OrderSummary, PAGE, PlatformError } from '@morpheo/common';
import type { Peers } from '../clients.ts';
import type { Viewer } from '../sensory/sets.ts';
import { isByAccount, LABELS, ownerLabel } from '../training/labels.ts';
import { type DoneTraining, type Network, type NetworkStorage, readNetwork } from './artifact.ts';
import type { Unusable } from './networks.ts';

/** What trainings are looked for with. */
export interface TrainingsOptions {
  readonly compute: Pick<Peers['compute'], 'listOrders' | 'getOrder'>;
  readonly storage: NetworkStorage;
  /** On which pictures, as their label says; on any where absent. */
  readonly set?: string | undefined;
  /** The account by which dicebox orders: anybody may label an order. Absent: compute-api asks nobody who they are. */
  readonly owner?: string | undefined;
  /** Whose sets of pictures they are on, since several owners may have one of a name; anybody's where absent. */
  readonly trainingsOf?: string | undefined;
}

/** What compute-api labels the orders of a search with. */
const OF_SEARCH = 'search.trial';

/** Some done trainings. */
export interface DonePage {
  /** The one that was ordered first is the first. */
  readonly items: readonly DoneTraining[];
  /** Where those go on that were ordered earlier; undefined where there are none. */
  readonly next: string | undefined;
}

/**
 * A page of the done trainings that count: those of the pictures and the owner that are classified for. `trials`: those of
 * searches too. The page of those that were ordered last where no cursor is given.
 */
export async function doneTrainings(
  { compute, set, owner, trainingsOf }: TrainingsOptions,
  { trials, cursor }: { readonly trials: boolean; readonly cursor?: string | undefined },
): Promise<DonePage> {
  const { items, next } = await compute.listOrders({
    query: {
      ...{ kind: 'job', status: 'done', limit: PAGE.most, cursor },
      label: set === undefined ? `${LABELS.training}=request` : `${LABELS.set}=${set}`,
    },
  });
  const own = items.filter(
    (order) =>
      isByAccount(order, owner) &&
      isOnSetOf(order, trainingsOf) &&
      (trials || order.job?.labels?.[OF_SEARCH] === undefined),
  );
  return { items: own.map(doneOf).reverse(), next };
}

/**
 * One training that the viewer has named. Throws `not_found`, `forbidden` where it is another owner's and the viewer is
 * neither that owner nor an admin, and `wrong_state` where it is not done, with how it stands.
 */
export async function doneTraining(
  { compute, set, owner, trainingsOf }: TrainingsOptions,
  training: string,
  { name, isAdmin }: Viewer,
): Promise<DoneTraining> {
  const order = await compute.getOrder({ params: { id: training } });
  const own = order.job?.labels?.[LABELS.set];
  if (own === undefined || !isByAccount(order, owner))
    throw new PlatformError('not_found', `${training} is no training.`);
  if (!isAdmin && !isOnSetOf(order, trainingsOf) && !isOnSetOf(order, name))
    throw new PlatformError(
      'forbidden',
      `${training} is a training on a set of another owner: that owner, or an admin, may adopt it.`,
    );
  if (set !== undefined && own !== set)
    throw new PlatformError(
      'not_found',
      `${training} is a training on the set ${own}; networks of ${set} are used here.`,
    );
  if (order.status === 'done') return doneOf(order);
  const why = order.failure === undefined ? '' : ` (${order.failure.message})`;
  throw new PlatformError(
    'wrong_state',
    `The training ${training} is ${order.status}${why}: it has no result.`,
  );
}

/** Of what is not worth a retry, that which is our own and says nothing of the network. */
const OWN_ERRORS: ReadonlySet<ErrorCode> = new Set(['unauthenticated', 'cancelled']);

/** The network of a training, or why it has left none that can be used. Throws where storage may give it later. */
export async function networkOf(storage: NetworkStorage, done: DoneTraining): Promise<Network | Unusable> {
  try {
    return await readNetwork(storage, done);
  } catch (error) {
    if (!isPlatformError(error) || error.retry || OWN_ERRORS.has(error.code)) throw error;
    if (error.code === 'wrong_state') return { ...done, reason: error.message };
    const isGone = error.code === 'not_found' || error.code === 'damaged';
    return {
      ...done,
      reason: `What its training has left ${isGone ? 'is gone' : 'cannot be read'}: ${error.message}`,
    };
  }
}

function isOnSetOf({ job }: OrderSummary, owner: string | undefined): boolean {
  return owner === undefined || job?.labels?.[LABELS.owner] === ownerLabel(owner);
}

function doneOf({ id, algo = '', job, needs, result }: OrderSummary): DoneTraining {
  return { training: id, output: result?.uuid ?? job?.output ?? '', algo, labels: needs?.labels ?? {} };
}
