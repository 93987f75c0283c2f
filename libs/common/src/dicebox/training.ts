import * as z from 'zod';
import { json } from '../contract/contract.ts';
import { labelValue } from '../needs.ts';
import { type DiceboxDialect, type Endpoints, keyed } from './dialects.ts';
import type { PictureSetKey } from './pictures.ts';

const request = {
  path: '/api/train/request',
  summary: 'Order a training of the pictures that there are',
  ...keyed,
  access: ['orchestrator'],
  response: json(z.object({ training_request_id: z.string().nullable() })),
} as const;

/** What workers offer that have the picture trainer, and what its orders need. */
export const TRAINER_LABELS = { trainer: 'pictures-1' } as const;

/** What an order of a training is labelled with, so that it is found again. */
export const TRAINING_LABELS = {
  training: 'dicebox.training',
  set: 'dicebox.set',
  owner: 'dicebox.owner',
} as const;

/** Characters of a name that a label has of one that it cannot have as a whole. */
const SHOWN = 36;

/**
 * The value of the label `dicebox.set` of trainings on a set of pictures: its name and size, such as `dicebox_100x100`. A name
 * that is none of a label is cut to what is, and told from others by a number.
 */
export function setLabel({ name, width, height }: PictureSetKey): string {
  const whole = `${name}_${width}x${height}`;
  if (labelValue.safeParse(whole).success) return whole;
  const shown = name.replaceAll(/[^A-Za-z0-9]+/g, '-').slice(0, SHOWN);
  return `set${shown}.${numberOf(name)}_${width}x${height}`;
}

/** FNV-1a, of 32 bits, of the UTF-16 code units of a text. */
function numberOf(text: string): number {
  let number = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) number = Math.imul(number ^ text.charCodeAt(at), 0x01000193);
  return number >>> 0;
}

/** The routes of the training service, by dialect: that of 2019 orders a training by a GET. */
export const DICEBOX_TRAINING = {
  '2017': { requestTraining: { ...request, method: 'POST', status: 201 } },
  '2019': { requestTraining: { ...request, method: 'GET', status: 202 } },
} as const satisfies Record<DiceboxDialect, Endpoints>;
