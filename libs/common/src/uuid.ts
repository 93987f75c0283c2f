import * as z from 'zod';

/** The UUID of 128 zero bits: what the originals write where no UUID is known. */
export const NIL_UUID = '00000000-0000-0000-0000-000000000000';

const CANONICAL = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** A UUID as ours: canonical text (RFC 9562 §4), accepted in any case, handed on in lower case. Not nil. */
export const uuid = z
  .string()
  .regex(CANONICAL, 'should be a UUID such as 6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11')
  .refine((text) => text !== NIL_UUID, 'should not be the nil UUID')
  .toLowerCase()
  // What a document shows: it cannot tell a refinement by itself.
  .meta({ pattern: '^(?!0{8}(?:-0{4}){3}-0{12}$)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$' });

/**
 * A UUID that its handler reads with {@link parseGoUuid}, so that a wrong one is told in the words of the originals. A
 * document shows it as the UUID that it should be.
 */
export const rawUuid = z.string().max(200).meta({ format: 'uuid' });

/** True for a canonical UUID in any case, the nil UUID included. */
export function isUuid(text: string): boolean {
  return CANONICAL.test(text);
}

const URN = 'urn:uuid:';
/** The sizes of the groups of hexadecimal digits (RFC 9562 §4). */
const GROUPS = [8, 4, 4, 4, 12] as const;
const DIGITS = 32;
/** What nearly everybody sends: it is what is returned, and taking it apart costs several times as much. */
const LOWER_CASE = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Why a text is no UUID, in the words of the original services. */
export class GoUuidError extends Error {
  override name = 'GoUuidError';
  /** What had been read when the text went wrong, as a UUID with zeros for the rest: the originals show it. */
  readonly soFar: string;

  constructor(message: string, digits: string) {
    super(message);
    this.soFar = format(digits.padEnd(DIGITS, '0'));
  }
}

/**
 * Reads a UUID by the rules of the original services: canonical text in any case, in braces, or as a URN.
 * Returns it canonical and in lower case; throws {@link GoUuidError} with their text for anything else.
 * Source: wire format of the classic APIs, "UUID and JSON parsing rules".
 */
export function parseGoUuid(text: string): string {
  if (LOWER_CASE.test(text)) return text;
  const tooShort = `uuid: UUID string too short: ${text}`;
  if (text.length < DIGITS) throw new GoUuidError(tooShort, '');
  const braced = text.startsWith('{');
  let rest = text.slice(braced ? 1 : text.startsWith(URN) ? URN.length : 0);
  let digits = '';
  for (const size of GROUPS) {
    if (digits !== '') {
      if (!rest.startsWith('-')) throw new GoUuidError('uuid: invalid string format', digits);
      rest = rest.slice(1);
    }
    if (rest.length < size) throw new GoUuidError(tooShort, digits);
    digits += readGroup(rest.slice(0, size), digits);
    const excess = digits.length === DIGITS ? rest.slice(size) : '';
    if (excess !== '' && !(braced && excess === '}')) {
      throw new GoUuidError(`uuid: UUID string too long: ${rest}`, digits.slice(0, -size));
    }
    rest = rest.slice(size);
  }
  return format(digits);
}

/** The digits of a group in lower case; pairs before one that is not hexadecimal count as read. */
function readGroup(group: string, before: string): string {
  const at = group.search(/[^0-9a-f]/i);
  if (at < 0) return group.toLowerCase();
  const odd = String.fromCodePoint(group.codePointAt(at) ?? 0);
  const code = odd.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0');
  const read = group.slice(0, at - (at % 2)).toLowerCase();
  throw new GoUuidError(`encoding/hex: invalid byte: U+${code} '${odd}'`, before + read);
}

function format(digits: string): string {
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
