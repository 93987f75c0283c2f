import {
  type Call,
  DEFAULT_DISCLOSURE,
  type Disclosed,
  type Disclosure,
  type OrderView,
  type OriginalKind,
  type SeeingStep,
} from '@morpheo/common';
import type { OrderRow } from '../db/schema.ts';
import { pinOf } from '../orders/store.ts';
import { mayWithGroups, speaksForOthers } from '../owners/owners.ts';

/** Who looks at an order. */
export interface Viewer {
  readonly name: string;
  readonly admin: boolean;
  /** Whether they may order in the name of others. */
  readonly forOthers: boolean;
}

/** What it is decided from what somebody sees of an order. */
export type Seen = Pick<OrderRow, 'kind' | 'owner' | 'pin' | 'round' | 'sample_of'>;

/** The steps of orders of a kind that see data, which their problem is asked about. */
const SEEING: Readonly<Record<OriginalKind, readonly SeeingStep[]>> = {
  learn: ['detarget', 'train', 'perf'],
  predict: ['predict'],
};

/** What the platform says of a result tells of the step that wrote it. */
const WRITES: Readonly<Record<OriginalKind, SeeingStep>> = { learn: 'train', predict: 'predict' };

/** Of no step anything but that it failed, and the reason. */
const NOTHING: Disclosure = {
  ...DEFAULT_DISCLOSURE,
  ...{ detarget: 'nothing', train: 'nothing', perf: 'nothing', predict: 'nothing' },
};

/** What holds of an order on a sample of which storage has not found that it is public. */
const CLOSED = { hidden: true, readers: [] as string[], disclosure: NOTHING, sample: undefined };

/** Who calls. Calls within this process are as an admin's. */
export function viewerOf(call: Call | undefined): Viewer {
  const { name = '', roles = ['admin'] as const } = call?.principal ?? {};
  const forOthers = call?.principal === undefined || speaksForOthers(call.principal);
  return { name, admin: roles.includes('admin'), forOthers };
}

/**
 * What of a step of an order reaches a viewer: the one place that decides it. All reaches admins, and those whom storage
 * named when it checked the order; others get what the problem discloses. Of an order that storage has not checked, what
 * a problem discloses by default. Steps that see no data are everybody's. A job has no problem, and its owner may read all
 * that it reads: what it does and prints is for those alone who may see the orders of its owner.
 */
export function shownOf(viewer: Viewer, order: Seen, step: string | undefined): Disclosed {
  if (step === undefined || seesNoData(order, step) || isReader(viewer, order)) return 'all';
  if (order.kind === 'job') return 'nothing';
  const { disclosure } = policyOf(order);
  const seeing = SEEING[order.kind].find((one) => one === step);
  if (seeing !== undefined) return disclosure[seeing];
  const written = disclosure[WRITES[order.kind]];
  return typeof written === 'object' ? 'summary' : written;
}

/** Whether nothing that a step does or prints can tell of data: it comes before all that see any. Of a job, none is told of. */
export function seesNoData({ kind }: Pick<OrderRow, 'kind'>, step: string): boolean {
  return kind !== 'job' && (step === 'inputs' || step === 'build');
}

/**
 * Whether the history of an attempt stops at a step for a viewer until the attempt is over: when the step starts and
 * ends, and what follows it, would tell its time to the millisecond to who watches.
 */
export function isHeld(viewer: Viewer, order: Seen, step: string | undefined): boolean {
  return shownOf(viewer, order, step) !== 'all';
}

/** Whether a viewer sees all of an order, as it happens. */
export function seesAll(viewer: Viewer, order: Seen): boolean {
  if (isReader(viewer, order)) return true;
  // Others see what may hold a canary when it was looked through.
  if (policyOf(order).canaries.length > 0) return false;
  return order.kind !== 'job' && SEEING[order.kind].every((step) => shownOf(viewer, order, step) === 'all');
}

/** What reaches a viewer of each step that sees data; undefined where all does. */
export function limitsOf(viewer: Viewer, order: Seen): OrderView['shown'] {
  if (seesAll(viewer, order)) return undefined;
  if (order.kind === 'job') return { job: 'nothing' };
  return Object.fromEntries(SEEING[order.kind].map((step) => [step, shownOf(viewer, order, step)]));
}

/**
 * What storage said of who may see what of an order; where it has not yet, nobody sees more than by default, and of one
 * that is begun again, which has been shown by another policy, nothing. Nor of one that the platform placed on a sample,
 * unless storage found that all its data is public: its owner has chosen none of that data.
 */
export function policyOf(order: Pick<OrderRow, 'pin' | 'round' | 'sample_of'>) {
  const policy = pinOf(order)?.policy;
  if (order.sample_of !== null && policy?.readers !== 'everybody')
    return { ...CLOSED, canaries: policy?.canaries ?? [] };
  return {
    hidden: policy?.hidden ?? false,
    // Absent in what was checked before there were budgets.
    readers: policy?.readers ?? [],
    disclosure: policy?.disclosure ?? (order.round > 1 ? NOTHING : DEFAULT_DISCLOSURE),
    canaries: policy?.canaries ?? [],
    sample: policy?.sample,
  };
}

/**
 * Whether storage named a viewer when it checked an order as one who sees all of it; or the viewer is an admin; or it is a
 * job, and the viewer may see the orders of its owner.
 */
export function isReader(viewer: Viewer, order: Seen): boolean {
  const { readers } = policyOf(order);
  const { name, admin } = viewer;
  if (order.kind === 'job' && mayWithGroups('see', order.owner, viewer)) return true;
  return admin || readers === 'everybody' || readers.includes(name);
}
