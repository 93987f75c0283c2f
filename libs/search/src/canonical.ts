import * as z from 'zod';

/** A JSON value. */
export type Json = z.infer<typeof json>;

/** The schema of a JSON value: numbers are finite. */
export const json = z.json();

/**
 * The one way to write a JSON value (RFC 8785): members sorted by the UTF-16 units of their names, no blanks, numbers
 * and texts as ECMAScript writes them. Two values are equal exactly where these texts are. Throws a `TypeError` where a
 * number is not finite, which JSON cannot hold.
 */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    let text = '';
    for (const name of Object.keys(value).sort(byUnits)) {
      const member = value[name];
      if (member === undefined) continue;
      text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${canonicalJson(member)}`;
    }
    return `{${text}}`;
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new TypeError(`${value} is no number of JSON`);
  }
  return JSON.stringify(value);
}

/** Sorts texts by their UTF-16 units, as RFC 8785 does: the same everywhere, whatever language a machine speaks. */
export function byUnits(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
