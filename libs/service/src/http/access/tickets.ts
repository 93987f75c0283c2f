import { createSecretKey, hash, type KeyObject } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { errnoOf, PlatformError, type Principal, type Ticket, ticketClaims } from '@morpheo/common';
import { errors, jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import { defineSettings } from '../../config/index.ts';

/** How far the clocks of who signs and who checks may be apart, in seconds. */
const CLOCKS_APART_S = 30;
/** For whom tickets are (RFC 7519 §4.1.3), so that nothing else that is signed with the key passes for one. */
const AUDIENCE = 'storage-api';
const ALGORITHM = 'HS256';
/** The file of keys is looked at again after so long, in milliseconds. */
const LOOK_AGAIN_MS = 1_000;

/** A key by which tickets are signed and checked, with the name that stands in them. */
interface TicketKey {
  readonly id: string;
  readonly secret: KeyObject;
}

/**
 * The keys of tickets as they are now: the first one signs, each of them checks. There is at least one. Where the key
 * `wanted` is not among those that are known, it is looked for at once.
 */
export type TicketKeys = (wanted?: string) => Promise<readonly TicketKey[]>;

/** The setting of the keys; `prefix` begins its variable. */
export function ticketKeySettings(prefix: string) {
  return defineSettings({
    ticketKeyFile: {
      flag: 'ticket-key-file',
      env: `${prefix}TICKET_KEY_FILE`,
      schema: z.string().min(1).optional(),
      help:
        'File of the keys of tickets, the same for compute-api and storage-api: a line each, 32 random bytes or more in Base64. ' +
        'The first signs, all are known; it is read again when it changes.',
    },
  });
}

/**
 * The keys that `text` holds, one a line: Base64 (either alphabet) of 32 bytes or more; blank lines and those that begin
 * with `#` say nothing. Throws `invalid_request` that names `place` and the line, never what stands there.
 */
export function ticketKeysOf(text: string, place: string): TicketKeys {
  const keys = parseKeys(text, place);
  return async () => keys;
}

/**
 * The keys of a file, read again when it changes; where that cannot be done, the keys before stay, and `onError` is
 * told; `onLook` is told of every other look, and whether the file had changed. Throws `invalid_request` where the file
 * cannot be read at first, or holds no keys.
 */
export async function openTicketKeys(
  file: string,
  onError: (error: unknown) => void,
  clock: () => number = () => performance.now(),
  onLook: (isNew: boolean) => void = () => undefined,
): Promise<TicketKeys> {
  let version = await versionOf(file);
  let keys = parseKeys(await readKeys(file), file);
  let lookedAt = clock();
  return async (wanted) => {
    const known = wanted === undefined || keys.some(({ id }) => id === wanted);
    if (known && clock() - lookedAt < LOOK_AGAIN_MS) return keys;
    lookedAt = clock();
    try {
      const found = await versionOf(file);
      const isNew = found !== version;
      if (isNew) {
        keys = parseKeys(await readKeys(file), file);
        version = found;
      }
      onLook(isNew);
    } catch (error) {
      onError(error);
    }
    return keys;
  };
}

/** What changes when a file is written, or another one takes its place. */
async function versionOf(file: string): Promise<string> {
  const { ino, mtimeMs, size } = await stat(file).catch((cause: unknown) => {
    throw unreadable(file, cause);
  });
  return `${ino} ${mtimeMs} ${size}`;
}

async function readKeys(file: string): Promise<string> {
  return await readFile(file, 'utf8').catch((cause: unknown) => {
    throw unreadable(file, cause);
  });
}

function unreadable(file: string, cause: unknown): PlatformError {
  const why = errnoOf(cause) ?? 'see the log';
  return new PlatformError('invalid_request', `The file of ticket keys ${file} cannot be read: ${why}.`, {
    cause,
  });
}

function parseKeys(text: string, place: string): readonly TicketKey[] {
  const keys = text.split('\n').flatMap((line, index) => {
    const written = line.trim();
    return written === '' || written.startsWith('#')
      ? []
      : [parseKey(written, `${place}, line ${index + 1}`)];
  });
  if (keys.length > 0) return keys;
  throw new PlatformError(
    'invalid_request',
    `${place} holds no ticket key: write 32 random bytes in Base64, such as \`openssl rand -base64 32\` prints.`,
  );
}

function parseKey(written: string, place: string): TicketKey {
  const bytes = Buffer.from(written, 'base64');
  if (!/^[\w+/-]+={0,2}$/.test(written) || bytes.byteLength < 32) {
    throw new PlatformError(
      'invalid_request',
      `${place}: a ticket key is 32 random bytes or more in Base64, such as \`openssl rand -base64 32\` prints.`,
    );
  }
  return { id: hash('sha256', bytes, 'base64url').slice(0, 12), secret: createSecretKey(bytes) };
}

/** Signs tickets: the text that a caller sends as `Authorization: Bearer …`, good until `expires`. */
export type SignTicket = (ticket: Ticket, expires: Date) => Promise<string>;

/** Signs with the first of the keys. */
export function ticketSigner(keys: TicketKeys): SignTicket {
  return async (ticket, expires) => {
    const [key] = await keys();
    if (key === undefined) throw new Error('There is no ticket key');
    return await new SignJWT({ ...ticket })
      .setProtectedHeader({ alg: ALGORITHM, kid: key.id })
      .setAudience(AUDIENCE)
      .setExpirationTime(expires)
      .sign(key.secret);
  };
}

/**
 * Finds out who calls from a ticket in the `Authorization` field; undefined where there is none in it, so that it may be
 * credentials. Throws `unauthenticated` that says what is wrong with the ticket.
 */
export type VerifyTicket = (authorization: string | undefined) => Promise<Principal | undefined>;

/**
 * Checks tickets by all keys, and by `clock` (milliseconds since 1970) that they are still good. `onUnknown` is told of
 * those that are signed with a key which is not among them.
 */
export function ticketVerifier(
  keys: TicketKeys,
  clock: () => number = Date.now,
  onUnknown: () => void = () => undefined,
): VerifyTicket {
  return async (authorization) => {
    const token = ticketIn(authorization);
    if (token === undefined) return undefined;
    try {
      const { payload } = await jwtVerify(token, async ({ kid }) => keyOf(await keys(kid ?? ''), kid), {
        algorithms: [ALGORITHM],
        audience: AUDIENCE,
        clockTolerance: CLOCKS_APART_S,
        currentDate: new Date(clock()),
        requiredClaims: ['exp'],
      });
      const ticket = ticketClaims.parse(payload);
      return { name: `attempt ${ticket.attempt} of ${ticket.order}`, roles: ['attempt'], ticket };
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey) onUnknown();
      throw refusal(error);
    }
  };
}

/** The token of a Bearer field that has the form of a JWT: credentials have no three parts of which the first is JSON. */
function ticketIn(authorization: string | undefined): string | undefined {
  return /^bearer +(eyJ[\w-]*\.[\w-]*\.[\w-]*) *$/i.exec(authorization ?? '')?.[1];
}

function keyOf(known: readonly TicketKey[], wanted: string | undefined): KeyObject {
  const key = known.find(({ id }) => id === wanted);
  if (key === undefined) throw new errors.JWKSNoMatchingKey();
  return key.secret;
}

function refusal(error: unknown): PlatformError {
  if (!(error instanceof errors.JOSEError) && !(error instanceof z.ZodError)) {
    return new PlatformError('internal', 'A ticket could not be checked.', { cause: error });
  }
  if (error instanceof errors.JWTExpired) {
    const message = 'This ticket is no longer good: a worker gets one with each claim and renewal.';
    return new PlatformError('unauthenticated', message, { cause: error, details: { ticket: 'expired' } });
  }
  const why =
    error instanceof errors.JWKSNoMatchingKey
      ? 'it is signed with another key. Give compute-api and storage-api the same --ticket-key-file.'
      : 'a worker gets one with each claim and renewal.';
  return new PlatformError('unauthenticated', `This is no ticket that is known here: ${why}`, {
    cause: error,
  });
}

/** For whom what compute-apis show to one another is (RFC 7519 §4.1.3): no ticket of an attempt passes for it. */
const INSTANCES = 'compute-api';
const INSTANCE_SECONDS = 60;

/** Signs what one compute-api shows to another, as the text of `Authorization: Bearer …`: good for a minute. */
export type SignInstance = () => Promise<string>;

/** Signs with the first of the keys. */
export function instanceSigner(keys: TicketKeys): SignInstance {
  return async () => {
    const [key] = await keys();
    if (key === undefined) throw new Error('There is no ticket key');
    return await new SignJWT({})
      .setProtectedHeader({ alg: ALGORITHM, kid: key.id })
      .setAudience(INSTANCES)
      .setExpirationTime(new Date(Date.now() + INSTANCE_SECONDS * 1000))
      .sign(key.secret);
  };
}

/** Knows other compute-apis by what {@link instanceSigner} signs: their one role is `compute`. Else as {@link ticketVerifier}. */
export function instanceVerifier(keys: TicketKeys): VerifyTicket {
  return async (authorization) => {
    const token = ticketIn(authorization);
    if (token === undefined) return undefined;
    try {
      await jwtVerify(token, async ({ kid }) => keyOf(await keys(kid ?? ''), kid), {
        algorithms: [ALGORITHM],
        audience: INSTANCES,
        clockTolerance: CLOCKS_APART_S,
        requiredClaims: ['exp'],
      });
      return { name: 'another compute-api', roles: ['compute'] };
    } catch (error) {
      throw refusal(error);
    }
  };
}
