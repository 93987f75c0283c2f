import * as z from 'zod';
import { ANYONE_KNOWN, bytes, type Endpoint, json } from '../../contract/contract.ts';
import { sha256Hex } from '../../digest.ts';
import { uuid } from '../../uuid.ts';
import { type Endpoints, MOST_PICTURE_BODY, pictureText } from '../dialects.ts';

/**
 * How a network stands: `candidate`: it may replace the one in use; `warming`: it is being started; `current`: it answers;
 * `draining`: it answers what was asked before it was replaced; `retired`: it was in use; `refused`: as its reason says.
 */
export const NETWORK_STATES = ['candidate', 'warming', 'current', 'draining', 'retired', 'refused'] as const;

/** A state of {@link NETWORK_STATES}. */
export type NetworkState = (typeof NETWORK_STATES)[number];

const network = z.object({
  /** The training that made it. */
  training: uuid,
  /** The SHA-256 of its weights. */
  digest: sha256Hex,
  /** The part of held-out pictures whose category it told, 0 to 1. */
  accuracy: z.number().min(0).max(1),
});

const classified = z.object({
  category: z.string(),
  /** Of the category. */
  index: z.int().min(0),
  /** Of all categories, in the order of their indices. */
  probabilities: z.array(z.object({ category: z.string(), probability: z.number().min(0).max(1) })),
  network,
  /** From the request to the answer, in milliseconds. */
  ms: z.number().min(0),
});

/** What is answered about a picture. */
export type Classified = z.infer<typeof classified>;

const networkView = z.object({
  training: uuid,
  state: z.enum(NETWORK_STATES),
  /** Why it is refused, or not in use yet. */
  reason: z.string().optional(),
  digest: sha256Hex.optional(),
  accuracy: z.number().optional(),
  categories: z.array(z.string()).optional(),
  width: z.int().optional(),
  height: z.int().optional(),
  channels: z.int().optional(),
});

/** What is told of a network; a training that has left none is told of with its reason alone. */
export type NetworkView = z.infer<typeof networkView>;

const known = { access: ANYONE_KNOWN, status: 200 } as const satisfies Partial<Endpoint>;
const page = { method: 'GET', access: 'public', status: 200, errors: ['not_found'] } as const;

/** The routes of our own for networks and what they say of pictures, and the page to draw on. */
export const DICEBOX_CLASSIFICATION_V1 = {
  classifyPicture: {
    method: 'POST',
    path: '/v1/classify',
    summary: 'What the network in use says of a picture: PNG or JPEG of any size, in base64',
    ...known,
    body: json(z.object({ data: pictureText }), MOST_PICTURE_BODY),
    response: json(classified),
    errors: [
      'invalid_request',
      'invalid_json',
      'wrong_state',
      'too_large',
      'call_failed',
      'rate_limited',
      'unavailable',
      'deadline_passed',
    ],
  },
  listNetworks: {
    method: 'GET',
    path: '/v1/networks',
    summary: 'The networks that there are, the newest first',
    ...known,
    response: json(z.object({ items: z.array(networkView) })),
    errors: [],
  },
  adoptNetwork: {
    method: 'POST',
    path: '/v1/networks',
    summary:
      'Use the network of a training in place of the one in use, whatever its accuracy, as soon as it is warm',
    ...known,
    access: ['orchestrator'],
    status: 202,
    body: json(
      z.strictObject({
        training: uuid,
        /** Use it although its categories are others than those of the network in use. */
        other_categories: z.boolean().optional(),
      }),
    ),
    response: json(networkView),
    errors: ['invalid_request', 'invalid_json', 'not_found', 'conflict', 'wrong_state', 'unavailable'],
  },
  refuseNetwork: {
    method: 'POST',
    path: '/v1/networks/:training/refuse',
    summary: 'Never use the network of a training; the one in use is replaced, not refused',
    ...known,
    access: ['orchestrator'],
    params: z.object({ training: uuid }),
    body: json(z.strictObject({ reason: z.string().trim().min(1).max(500) })),
    response: json(networkView),
    errors: ['invalid_request', 'invalid_json', 'not_found', 'wrong_state', 'unavailable'],
  },
  drawingPage: {
    ...page,
    path: '/',
    summary:
      'A page to draw a picture, see what the network says of it, and store it with its right category',
    response: bytes('text/html; charset=utf-8'),
  },
  drawingFile: {
    ...page,
    path: '/page/:file',
    summary: 'A file of that page',
    params: z.object({ file: z.string().regex(/^[a-z]+\.(?:css|js)$/) }),
    response: bytes(),
  },
} as const satisfies Endpoints;
