import * as z from 'zod';
import { ANYONE_KNOWN, type Api, bytes, type Contract, type Endpoint, json } from '../contract/contract.ts';

/**
 * Dicebox's API, in the two dialects that its releases speak: that of 2017 answers all that went well with 201, and a wrong
 * key with 401; that of 2019 has a status for each, and 403. An error is a page of HTML, but for 404. Requests carry
 * `API-ACCESS-KEY` and `API-VERSION`, where a route is not open to everybody.
 */
export const DICEBOX_DIALECTS = ['2017', '2019'] as const;

/** A dialect of {@link DICEBOX_DIALECTS}. */
export type DiceboxDialect = (typeof DICEBOX_DIALECTS)[number];

/** Routes by their keys. */
export type Endpoints = Readonly<Record<string, Endpoint>>;

/** What every route of the originals has that asks for a key. */
export const keyed = {
  access: ANYONE_KNOWN,
  classic: true,
  errors: ['invalid_request', 'invalid_json', 'too_large', 'unavailable'],
} as const satisfies Partial<Endpoint>;

/** The most bytes that a body with a picture may have. */
export const MOST_PICTURE_BODY = 16 * 1024 ** 2;

/** The text of a picture in base64, as clients send it: read leniently, for it may have line breaks. */
export const pictureText = z.string();

const open = { access: 'public', classic: true, errors: [] } as const satisfies Partial<Endpoint>;

const plainHealth = {
  method: 'GET',
  path: '/health/plain',
  summary: 'The text `true`',
  ...open,
  response: bytes('text/html; charset=utf-8'),
} as const;

const version = {
  method: 'GET',
  path: '/api/version',
  summary: 'The version of the API',
  ...open,
  response: json(z.object({ version: z.string(), 'dicebox lib version': z.string().optional() })),
} as const;

/** What every service of dicebox answers, by dialect. */
export const DICEBOX_COMMON = {
  '2017': { plainHealth: { ...plainHealth, status: 201 }, version: { ...version, status: 201 } },
  '2019': { plainHealth: { ...plainHealth, status: 200 }, version: { ...version, status: 200 } },
} as const satisfies Record<DiceboxDialect, Endpoints>;

/** What a service of dicebox is, beside its routes. */
export function diceboxContract<const E extends Endpoints>(endpoints: E): Contract<E> {
  return {
    title: 'Dicebox API',
    description:
      'Pictures with their categories, networks that are trained on them, and what these say of others.',
    errorKey: 'error',
    errorPages: true,
    realm: 'dicebox',
    endpoints,
  };
}

/** The functions that answer some routes. */
export type Handlers<E extends Endpoints> = Api<Contract<E>>;
