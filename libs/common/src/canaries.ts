import * as z from 'zod';

/** How many canaries a problem may name, and how many bytes they may have in all. */
export const MOST_CANARIES = { strings: 50, bytes: 2000 } as const;

const encoder = new TextEncoder();
const bytesOf = (text: string): number => encoder.encode(text).byteLength;

/** Strings that occur in the hidden targets of a problem alone: shorter ones would occur by chance. */
export const canaries = z
  .array(z.string().refine((text) => bytesOf(text) >= 8, 'should have 8 bytes at least'))
  .max(MOST_CANARIES.strings)
  .refine(
    (all) => all.reduce((sum, text) => sum + bytesOf(text), 0) <= MOST_CANARIES.bytes,
    `should have ${MOST_CANARIES.bytes} bytes in all at the most`,
  );

/** A canary that was found: its place in the list, from 1. */
export type CanaryHit = number;

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/**
 * Looks for canaries in many streams: as they are, in hexadecimal digits and in Base64 of any alignment, with either
 * alphabet. It is compiled once (Aho and Corasick, 1975), so that a stream costs one look at each byte, however many
 * canaries there are.
 */
export class CanarySearch {
  /** The next state, by state and byte. */
  readonly #next: Int32Array;
  /** The canary that is found in a state; 0 for none. */
  readonly #hits: Uint8Array;

  constructor(texts: readonly string[]) {
    const trie: Map<number, number>[] = [new Map()];
    const hits = [0];
    for (const [index, text] of texts.entries()) {
      for (const form of formsOf(encoder.encode(text))) hits[grow(trie, hits, form)] ||= index + 1;
    }
    this.#hits = Uint8Array.from(hits);
    this.#next = automatonOf(trie, this.#hits);
  }

  /** Begins a stream. */
  begin(): CanaryStream {
    return new CanaryStream(this.#next, this.#hits);
  }
}

/** One stream in which canaries are looked for; nothing of it is kept but the state of the search. */
export class CanaryStream {
  readonly #next: Int32Array;
  readonly #hits: Uint8Array;
  #state = 0;
  #hit: CanaryHit | undefined;

  constructor(next: Int32Array, hits: Uint8Array) {
    this.#next = next;
    this.#hits = hits;
  }

  /** The canary that was found first; undefined while none was. */
  get hit(): CanaryHit | undefined {
    return this.#hit;
  }

  /** Looks at the next piece: a canary that began in an earlier one is found as well. */
  add(piece: Uint8Array): void {
    if (this.#hit !== undefined) return;
    const [next, hits] = [this.#next, this.#hits];
    let state = this.#state;
    // By index: to iterate takes twice as long.
    for (let at = 0; at < piece.length; at++) {
      state = next[state * 256 + (piece[at] ?? 0)] ?? 0;
      const hit = hits[state] ?? 0;
      if (hit === 0) continue;
      this.#hit = hit;
      return;
    }
    this.#state = state;
  }
}

function grow(trie: Map<number, number>[], hits: number[], form: Uint8Array): number {
  let state = 0;
  for (const byte of form) {
    const known = trie[state]?.get(byte);
    if (known === undefined) {
      trie[state]?.set(byte, trie.length);
      state = trie.push(new Map()) - 1;
      hits.push(0);
    } else state = known;
  }
  return state;
}

/** The table of a trie in which each state knows where to go on where a byte does not fit; fills in hits of suffixes. */
function automatonOf(trie: readonly ReadonlyMap<number, number>[], hits: Uint8Array): Int32Array {
  const next = new Int32Array(trie.length * 256);
  const fallback = new Int32Array(trie.length);
  const queue: number[] = [0];
  // It grows while it is walked: the shortest beginnings first.
  for (const state of queue) {
    const back = fallback[state] ?? 0;
    if (hits[state] === 0) hits[state] = hits[back] ?? 0;
    if (state !== 0) next.copyWithin(state * 256, back * 256, back * 256 + 256);
    for (const [byte, child] of trie[state] ?? []) {
      // Before it is overwritten: where the state that it falls back to goes with this byte.
      fallback[child] = state === 0 ? 0 : (next[state * 256 + byte] ?? 0);
      next[state * 256 + byte] = child;
      queue.push(child);
    }
  }
  return next;
}

/** The bytes that a canary may appear as. */
function formsOf(bytes: Uint8Array): Uint8Array[] {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  const based = [0, 1, 2].map((offset) => base64At(bytes, offset));
  const urlSafe = based.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  return [bytes, ...[hex, hex.toUpperCase(), ...based, ...urlSafe].map((text) => encoder.encode(text))];
}

/** The part of the Base64 of a text that holds these bytes after `offset` others, which follows from these alone. */
function base64At(bytes: Uint8Array, offset: number): string {
  const bits = [...new Uint8Array(offset), ...bytes]
    .map((byte) => byte.toString(2).padStart(8, '0'))
    .join('');
  const sextets = bits.match(/.{6}/g) ?? [];
  const digits = sextets.map((sextet) => BASE64[Number.parseInt(sextet, 2)] ?? '');
  return digits.slice(Math.ceil((offset * 8) / 6)).join('');
}
