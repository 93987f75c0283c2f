import test from 'ava';
import { CanarySearch, canaries } from './canaries.ts';

const encoder = new TextEncoder();
const CANARY = 'label-7f3a/ÿ+zebra';
const search = new CanarySearch(['another-canary', CANARY, 'canary-of-a-suffix']);

function hitIn(bytes: Uint8Array, pieceBytes = bytes.byteLength): number | undefined {
  const stream = search.begin();
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) stream.add(bytes.subarray(at, at + pieceBytes));
  return stream.hit;
}

/** The ways to write a text that are looked for; each with others before and after it. */
function written(): [string, Uint8Array][] {
  const forms: [string, Uint8Array][] = [['raw', encoder.encode(`before ${CANARY} after`)]];
  const hex = Buffer.from(`before ${CANARY} after`).toString('hex');
  forms.push(['hex', encoder.encode(hex)], ['HEX', encoder.encode(hex.toUpperCase())]);
  for (const before of ['', '1', '12', '123']) {
    const bytes = Buffer.from(`${before}${CANARY}1`);
    for (const form of ['base64', 'base64url'] as const)
      forms.push([`${form} after ${before.length}`, encoder.encode(bytes.toString(form))]);
  }
  return forms;
}

test('A canary is found as it is, in hex, and in Base64 of all alignments', (t) => {
  for (const [how, bytes] of written()) t.is(hitIn(bytes), 2, how);
});

test('A canary is found that crosses the borders of pieces, whatever their size', (t) => {
  for (const [how, bytes] of written())
    for (const size of [1, 2, 3, 5, 7, 11]) t.is(hitIn(bytes, size), 2, `${how} in pieces of ${size}`);
});

test('A canary is found that begins within the beginning of another', (t) => {
  t.is(hitIn(encoder.encode('another-canary-of-a-suffix')), 1);
  t.is(hitIn(encoder.encode('another-canar-another-canary')), 1);
  t.is(hitIn(encoder.encode('another-ccanary-of-a-suffix')), 3);
});

test('What lacks a byte of a canary is none, and a million random bytes hold none', (t) => {
  const bytes = encoder.encode(CANARY);
  for (let gap = 0; gap < bytes.length; gap++)
    t.is(hitIn(Uint8Array.from([...bytes.slice(0, gap), ...bytes.slice(gap + 1)])), undefined, `${gap}`);
  const random = new Uint8Array(1_000_000).map((_, n) => (n * 2654435761) >>> 13);
  t.is(hitIn(random, 65_536), undefined);
});

test('Canaries that occur by chance, and too many of them, are refused', (t) => {
  t.true(canaries.safeParse(['8 bytes!', 'x'.repeat(1000)]).success);
  t.false(canaries.safeParse(['7 bytes']).success);
  t.false(canaries.safeParse(['x'.repeat(2001)]).success);
  t.false(canaries.safeParse(Array.from({ length: 51 }, (_, n) => `canary ${n}`)).success);
});
