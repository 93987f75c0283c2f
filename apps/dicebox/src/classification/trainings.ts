import { isPlatformError, type OrderSummary, PlatformError, TRAINING_LABELS } from '@morpheo/common';
import type { Peers } from '../clients.ts';
import { type DoneTraining, type Network, type NetworkStorage, readNetwork } from './artifact.ts';
import type { Unusable } from './networks.ts';

/** How many done trainings are looked at, at the most: the newest. */
const MOST_LOOKED_AT = 200;

/** What trainings are looked for with. */
export interface TrainingsOptions {
  readonly compute: Pick<Peers['compute'], 'listOrders' | 'getOrder'>;
  readonly storage: NetworkStorage;
  /** On which pictures, as their label says; on any where absent. */
  readonly set?: string | undefined;
  /** The account by which dicebox orders: anybody may label an order. Absent: compute-api asks nobody who they are. */
  readonly owner?: string | undefined;
}

/** Whose orders are on a compute-api that asks nobody who they are, whatever they say. */
const ANYBODY = 'anybody';

function isOwn({ owner }: OrderSummary, own: string | undefined): boolean {
  return own === undefined || owner === own || owner === ANYBODY;
}

/** The done trainings of the pictures that are classified, the oldest first. */
export async function doneTrainings({ compute, set, owner }: TrainingsOptions): Promise<DoneTraining[]> {
  const { items } = await compute.listOrders({
    query: {
      ...{ kind: 'job', status: 'done', limit: MOST_LOOKED_AT },
      label: set === undefined ? `${TRAINING_LABELS.training}=request` : `${TRAINING_LABELS.set}=${set}`,
    },
  });
  return items
    .filter((order) => isOwn(order, owner))
    .map(doneOf)
    .reverse();
}

/** One training that somebody has named. Throws `not_found`, and `wrong_state` where it is not done, with how it stands. */
export async function doneTraining(
  { compute, set, owner }: TrainingsOptions,
  training: string,
): Promise<DoneTraining> {
  const order = await compute.getOrder({ params: { id: training } });
  const own = order.job?.labels?.[TRAINING_LABELS.set];
  if (own === undefined || !isOwn(order, owner))
    throw new PlatformError('not_found', `${training} is no training.`);
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

/** The network of a training, or why it has left none that can be used. Throws `unavailable` where storage does not answer. */
export async function networkOf(storage: NetworkStorage, done: DoneTraining): Promise<Network | Unusable> {
  try {
    return await readNetwork(storage, done);
  } catch (error) {
    if (!isPlatformError(error, 'wrong_state', 'not_found', 'damaged')) throw error;
    const reason =
      error.code === 'wrong_state' ? error.message : `What its training has left is gone: ${error.message}`;
    return { ...done, reason };
  }
}

function doneOf({ id, algo = '', job, needs, result }: OrderSummary): DoneTraining {
  return { training: id, output: result?.uuid ?? job?.output ?? '', algo, labels: needs?.labels ?? {} };
}
