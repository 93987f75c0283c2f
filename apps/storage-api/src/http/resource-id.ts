import { GoUuidError, NIL_UUID, PlatformError, parseGoUuid } from '@morpheo/common';

/**
 * Reads the id of a path or query by the originals' rules and returns it canonical. Throws `invalid_request` in their
 * words, which name what was understood of the id before it went wrong; `what` is `UUID`, `algo UUID` or the like.
 */
export function parseResourceId(text: string, what = 'UUID'): string {
  try {
    return parseGoUuid(text);
  } catch (cause) {
    if (!(cause instanceof GoUuidError)) throw cause;
    const message = `Impossible to parse ${what} ${understood(text)}: ${cause.message}`;
    throw new PlatformError('invalid_request', message, { cause });
  }
}

const GROUPS = [8, 4, 4, 4, 12];

/** The id that the originals had in hand when they gave up on a text: the bytes read so far, then zeros. */
function understood(text: string): string {
  if (text.length < 32) return NIL_UUID;
  let rest = text.replace(/^(urn:uuid:|\{)/, '');
  let digits = '';
  for (const [index, length] of GROUPS.entries()) {
    if (index > 0 && rest[0] !== '-') break;
    const group = index > 0 ? rest.slice(1) : rest;
    if (group.length < length || (index === 4 && group.length > length)) break;
    const [pairs = ''] = /^(?:[0-9a-f]{2})*/i.exec(group.slice(0, length)) ?? [];
    digits += pairs;
    if (pairs.length < length) break;
    rest = group.slice(length);
  }
  return digits
    .toLowerCase()
    .padEnd(32, '0')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
