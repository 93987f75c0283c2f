/** Which order, and which attempt at it, work is for. */
export interface Concern {
  readonly order?: string | undefined;
  readonly attempt?: number | undefined;
}

const ORDER = 'morpheo.order';
const ATTEMPT = 'morpheo.attempt';
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** What a field may have at most (W3C Baggage, section 3.3.2), in characters. */
const LONGEST = 8192;

/**
 * Writes the `baggage` field (W3C Baggage) by which another service learns what a call is for; undefined where it is
 * for no order.
 */
export function formatBaggage({ order, attempt }: Concern): string | undefined {
  if (order === undefined) return undefined;
  return attempt === undefined ? `${ORDER}=${order}` : `${ORDER}=${order},${ATTEMPT}=${attempt}`;
}

/** Reads our members of a `baggage` field. Anything that is no id or no number is ignored: it goes into logs. */
export function parseBaggage(text: string | undefined): Concern {
  if (text === undefined || text.length > LONGEST) return {};
  const members = new Map(
    text.split(',').map((member): [string, string] => {
      const [pair = ''] = member.split(';', 1);
      const at = pair.indexOf('=');
      return at < 0 ? ['', ''] : [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    }),
  );
  const order = members.get(ORDER);
  if (order === undefined || !UUID.test(order)) return {};
  const attempt = members.get(ATTEMPT);
  return attempt !== undefined && /^[1-9]\d{0,8}$/.test(attempt)
    ? { order, attempt: Number(attempt) }
    : { order };
}
