import { createHash } from 'node:crypto';
import { labelValue, type OrderSummary, setLabel, TRAINING_LABELS } from '@morpheo/common';
import type { PictureSetRow } from '../db/schema.ts';

/**
 * What a training is labelled with as an order, beside what `TRAINING_LABELS` has: all that is told of it and that an order
 * does not have. Orders are the only place where trainings are kept.
 */
export const LABELS = {
  ...TRAINING_LABELS,
  setId: 'dicebox.set-id',
  network: 'dicebox.network',
  epochs: 'dicebox.epochs',
  pictures: 'dicebox.pictures',
  request: 'dicebox.request',
} as const;

/** What labels say of a training. */
export interface Labelled {
  /** As {@link ownerLabel}. */
  readonly owner: string;
  readonly set: Pick<PictureSetRow, 'id' | 'name' | 'width' | 'height'>;
  readonly network: string;
  readonly epochs: number;
  readonly pictures: number;
  /** Of what was asked for. */
  readonly request: string;
}

/** Writes labels. */
export function labelsOf({
  owner,
  set,
  network,
  epochs,
  pictures,
  request,
}: Labelled): Record<string, string> {
  return {
    [LABELS.training]: 'request',
    [LABELS.owner]: owner,
    [LABELS.set]: setLabel(set),
    [LABELS.setId]: set.id,
    [LABELS.network]: network,
    [LABELS.epochs]: String(epochs),
    [LABELS.pictures]: String(pictures),
    [LABELS.request]: request,
  };
}

/** The name of an owner as a label: one that is none is told from others by its digest. */
export function ownerLabel(name: string): string {
  const isLabel = name !== '' && labelValue.safeParse(name).success && !name.startsWith('sha256.');
  return isLabel ? name : `sha256.${digestOf(name)}`;
}

/** Whose orders are on a compute-api that asks nobody who they are, whatever they say. */
const ANYBODY = 'anybody';

/**
 * Whether an order is by the account that dicebox orders by: anybody may label an order of their own. Every order is where
 * `account` is absent.
 */
export function isByAccount({ owner }: Pick<OrderSummary, 'owner'>, account: string | undefined): boolean {
  return account === undefined || owner === account || owner === ANYBODY;
}

/** A digest that is short enough for a label. */
export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 40);
}
