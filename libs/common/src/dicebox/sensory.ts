import * as z from 'zod';
import { declaredJson, json } from '../contract/contract.ts';
import { type DiceboxDialect, type Endpoints, keyed, MOST_PICTURE_BODY, pictureText } from './dialects.ts';
import { PICTURE_BOUNDS } from './pictures.ts';

/** Which set, where a deployment has several: none of the originals', whose service has one. */
const which = z.object({
  name: z.string().optional(),
  width: z.coerce.number().int().min(1).optional(),
  height: z.coerce.number().int().min(1).optional(),
});

const batch = which.extend({ batch_size: z.int().min(1), noise: z.number().min(0).max(1) });

const few = batch.extend({ batch_size: z.int().min(1).max(PICTURE_BOUNDS.request) });

/** The values of a picture, 0 to 255, column by column as in the original, from the top left. */
const pixels = z.array(z.number());

/** 1 at the index of the category, 0 elsewhere. */
const label = z.array(z.number());

const store = {
  method: 'POST',
  path: '/api/sensory/store',
  summary: 'Store a picture with its category',
  ...keyed,
  access: ['uploader'],
  body: declaredJson(
    z.object({
      name: z.string(),
      width: z.int().min(1),
      height: z.int().min(1),
      category: z.string(),
      data: pictureText,
    }),
    MOST_PICTURE_BODY,
  ),
  response: json(z.object({ sensory_store: z.boolean() })),
} as const;

const request = {
  method: 'POST',
  path: '/api/sensory/request',
  summary: 'A few pictures with their labels',
  ...keyed,
  body: declaredJson(few),
  response: json(z.object({ labels: z.array(label), data: z.array(pixels) })),
} as const;

const order = {
  method: 'POST',
  path: '/api/sensory/batch',
  summary: 'Order many pictures, which are polled one by one',
  ...keyed,
  body: declaredJson(batch),
  response: json(z.object({ batch_id: z.string().nullable() })),
} as const;

const poll = {
  method: 'POST',
  path: '/api/sensory/poll',
  summary: 'One picture of a batch; null where there is none',
  ...keyed,
  body: declaredJson(
    z.object({ batch_id: z.string().refine((id) => !id.includes('\0'), 'should be the id of a batch') }),
  ),
  response: json(z.object({ label: label.nullable(), data: pixels.nullable() })),
} as const;

const categories = {
  method: 'GET',
  path: '/api/sensory/category',
  summary: 'The index of each category by its name',
  ...keyed,
  query: which,
  response: json(z.object({ category_map: z.record(z.string(), z.int()) })),
} as const;

/** The routes of the sensory service, by dialect. */
export const DICEBOX_SENSORY = {
  '2017': {
    storePicture: { ...store, status: 201 },
    requestSamples: { ...request, status: 201 },
    orderBatch: { ...order, status: 201 },
    pollBatch: { ...poll, status: 201 },
  },
  '2019': {
    sensoryCategories: { ...categories, status: 200 },
    storePicture: { ...store, status: 200 },
    requestSamples: { ...request, status: 201 },
    orderBatch: { ...order, status: 202 },
    pollBatch: { ...poll, status: 200 },
  },
} as const satisfies Record<DiceboxDialect, Endpoints>;
