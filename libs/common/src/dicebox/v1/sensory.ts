import * as z from 'zod';
import { ANYONE_KNOWN, bytes, json, jsonLines, nothing } from '../../contract/contract.ts';
import { timestamp } from '../../contract/service.ts';
import { ERROR_CODES } from '../../errors.ts';
import { uuid } from '../../uuid.ts';
import type { Endpoints } from '../dialects.ts';
import { PICTURE_BOUNDS, pictureSetKey, pictureSetName } from '../pictures.ts';

const channels = z.union([z.literal(1), z.literal(3)]);

/** A category: its index is its place among the names of all, in the order of their characters. */
const category = z.object({ name: z.string(), index: z.int(), pictures: z.int() });

/** A set of pictures. */
export const pictureSet = z.object({
  id: z.string(),
  owner: z.string(),
  name: z.string(),
  width: z.int(),
  height: z.int(),
  /** Values of a pixel: 1 is grey, 3 are red, green and blue. */
  channels,
  pictures: z.int(),
  categories: z.array(category),
  created_at: timestamp,
});

/** See {@link pictureSet}. */
export type PictureSet = z.infer<typeof pictureSet>;

/** A picture to store, a line of many. */
export const newPicture = z.object({
  category: pictureSetName,
  /** What its sender calls it, such as its path: one of that name which is there already is not stored again. */
  name: z
    .string()
    .min(1)
    .max(PICTURE_BOUNDS.pictureName)
    // A database would keep it as another one, or not at all.
    .refine((name) => name.isWellFormed() && !name.includes('\0'), 'should be Unicode text without NUL')
    .optional(),
  /** A PNG or JPEG in Base64. */
  data: z.string(),
});

/** See {@link newPicture}. */
export type NewPicture = z.infer<typeof newPicture>;

/** What came of a picture that was sent in a line. */
export const pictureAnswer = z.object({
  /** The number of the line, from 1; empty ones count. */
  line: z.int(),
  /** 201: it was stored; 200: it was there already; else the status of why it was refused. */
  status: z.int(),
  /** Of one that was refused. */
  code: z.enum(ERROR_CODES).optional(),
  detail: z.string().optional(),
});

/** See {@link pictureAnswer}. */
export type PictureAnswer = z.infer<typeof pictureAnswer>;

const shard = z.object({ resource: z.string(), first: z.int(), pictures: z.int() });

/** The pictures that a set had at a moment, and the shards that hold them, none loose. */
export const pictureSnapshot = z.object({
  set: z.string(),
  pictures: z.int(),
  categories: z.array(z.string()),
  shards: z.array(shard),
});

/** See {@link pictureSnapshot}. */
export type PictureSnapshot = z.infer<typeof pictureSnapshot>;

/** A batch that was ordered. */
export const pictureBatch = z.object({
  id: z.string(),
  set: z.string(),
  /** How many samples it has. */
  size: z.int(),
  noise: z.number(),
  /** The same seed, set and number of pictures give the same samples. */
  seed: z.int(),
  /** How many pictures the set had when it was ordered. */
  pictures: z.int(),
  categories: z.array(z.string()),
  /** How many samples were polled. */
  polled: z.int(),
  created_at: timestamp,
  /** When it is forgotten, if nobody uses it until then. */
  expires_at: timestamp,
});

/** See {@link pictureBatch}. */
export type PictureBatch = z.infer<typeof pictureBatch>;

/** A sample of a batch. */
export const pictureSample = z.object({
  sample: z.int(),
  /** The number of its picture in the set. */
  picture: z.int(),
  category: z.string(),
  /** The index of the category among those of the batch. */
  index: z.int(),
  width: z.int(),
  height: z.int(),
  channels,
  /** Base64 of a byte for each value, row by row, from the top left. */
  pixels: z.base64(),
});

/** See {@link pictureSample}. */
export type PictureSample = z.infer<typeof pictureSample>;

const ofSet = { params: z.object({ set: uuid }), access: ANYONE_KNOWN } as const;
const ofBatch = z.object({ batch: uuid });

/** The routes of our own for pictures. */
export const DICEBOX_SENSORY_V1 = {
  createPictureSet: {
    method: 'POST',
    path: '/v1/picture-sets',
    summary: 'Make a set of pictures; where the caller has it already, it is answered as it is',
    description: '409 where it is there with other `channels`.',
    access: ['uploader'],
    body: json(pictureSetKey.extend({ channels: channels.optional() })),
    status: 200,
    response: json(pictureSet),
    errors: ['invalid_request', 'conflict'],
  },
  listPictureSets: {
    method: 'GET',
    path: '/v1/picture-sets',
    summary: 'The sets of the caller, by name; of an admin those of all',
    access: ANYONE_KNOWN,
    status: 200,
    response: json(z.object({ items: z.array(pictureSet) })),
    errors: [],
  },
  getPictureSet: {
    method: 'GET',
    path: '/v1/picture-sets/:set',
    summary: 'A set of pictures, with its categories',
    ...ofSet,
    status: 200,
    response: json(pictureSet),
    errors: ['invalid_request', 'not_found'],
  },
  storePictures: {
    method: 'POST',
    path: '/v1/picture-sets/:set/pictures',
    summary: 'Store many pictures, a line of JSON each',
    description:
      `At most ${PICTURE_BOUNDS.lines} lines. It is answered when they are on disk. A picture that is no good is refused by ` +
      'itself, and the others are stored; with names, the same lines may be sent again.',
    ...ofSet,
    access: ['uploader'],
    body: jsonLines(newPicture),
    status: 200,
    response: json(z.object({ items: z.array(pictureAnswer) })),
    errors: ['invalid_request', 'not_found'],
  },
  takeSnapshot: {
    method: 'POST',
    path: '/v1/picture-sets/:set/snapshots',
    summary: 'Put all pictures that there are now into shards, and name these',
    ...ofSet,
    access: ['uploader'],
    status: 200,
    response: json(pictureSnapshot),
    errors: ['invalid_request', 'not_found', 'unavailable'],
  },
  getShard: {
    method: 'GET',
    path: '/v1/picture-sets/:set/shards/:first',
    summary:
      'The shard whose first picture has this number: a tar with `index.json`, `pixels.u8` and the pictures',
    ...ofSet,
    params: z.object({ set: uuid, first: z.coerce.number().int().min(0) }),
    status: 200,
    response: bytes('application/x-tar'),
    errors: ['invalid_request', 'not_found', 'unavailable'],
  },
  createBatch: {
    method: 'POST',
    path: '/v1/batches',
    summary: 'Order samples of a set, each of another picture',
    access: ['uploader'],
    body: json(
      z.object({
        set: uuid,
        size: z.int().min(1),
        noise: z.number().min(0).max(1).default(0),
        /** Drawn by chance where absent. */
        seed: z.int().min(0).optional(),
      }),
    ),
    status: 201,
    response: json(pictureBatch),
    errors: ['invalid_request', 'not_found'],
  },
  getBatch: {
    method: 'GET',
    path: '/v1/batches/:batch',
    summary: 'A batch that was ordered; forgotten 30 minutes after it was used last',
    access: ANYONE_KNOWN,
    params: ofBatch,
    status: 200,
    response: json(pictureBatch),
    errors: ['invalid_request', 'not_found'],
  },
  getSample: {
    method: 'GET',
    path: '/v1/batches/:batch/samples/:sample',
    summary: 'A sample by its number from 0: the same again whenever it is asked for',
    access: ANYONE_KNOWN,
    params: ofBatch.extend({ sample: z.coerce.number().int().min(0) }),
    status: 200,
    response: json(pictureSample),
    errors: ['invalid_request', 'not_found', 'unavailable'],
  },
  removeBatch: {
    method: 'DELETE',
    path: '/v1/batches/:batch',
    summary: 'Forget a batch',
    access: ['uploader'],
    params: ofBatch,
    status: 204,
    response: nothing,
    errors: ['invalid_request', 'not_found'],
  },
} as const satisfies Endpoints;
