import { isUuid } from '../uuid.ts';

const URN = 'urn:uuid:';
const LENGTH = 36;

/** Why a text is no UUID, in the words of the original services. */
export class GoUuidError extends Error {
  override name = 'GoUuidError';
}

/**
 * Reads a UUID by the rules of the original services: canonical text in any case, in braces, or as a URN.
 * Returns it canonical and in lower case; throws {@link GoUuidError} with their text for anything else.
 */
export function parseGoUuid(text: string): string {
  if (text.length < LENGTH - 4) throw new GoUuidError(`uuid: UUID string too short: ${text}`);
  const bare = unwrap(text);
  if (isUuid(bare)) return bare.toLowerCase();
  throw new GoUuidError(reason(bare));
}

function unwrap(text: string): string {
  if (text.startsWith('{') && text.endsWith('}')) return text.slice(1, -1);
  if (text.startsWith(URN)) return text.slice(URN.length);
  return text;
}

function reason(bare: string): string {
  const groups = bare.split('-');
  if (groups.length < 5) return 'uuid: invalid string format';
  const last = groups.slice(4).join('-');
  if (bare.length > LENGTH) return `uuid: UUID string too long: ${last}`;
  const odd = [...groups.join('')].find((digit) => !/[0-9a-f]/i.test(digit));
  if (odd === undefined || bare.length < LENGTH) return 'uuid: invalid string format';
  const code = odd.codePointAt(0) ?? 0;
  return `encoding/hex: invalid byte: U+${code.toString(16).toUpperCase().padStart(4, '0')} '${odd}'`;
}
