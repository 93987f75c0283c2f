import { PlatformError } from '@morpheo/common';
import type { Payload } from '../jobs/payload.ts';

/** The largest body that is taken, in bytes, as in the original. */
const MOST_BYTES = 10 * 1024 ** 3;
/** The most that it may have beside its payload. */
const MOST_BESIDE = 1024 ** 2;

const [QUOTE, BACKSLASH, COMMA, COLON] = [...'"\\,:'].map((sign) => sign.charCodeAt(0));
const OPENING = new Set([...'{['].map((sign) => sign.charCodeAt(0)));
const CLOSING = new Set([...'}]'].map((sign) => sign.charCodeAt(0)));
const NAME = '"payload"';

/**
 * Takes the payload, a text of any length, out of a JSON object as it comes, and resolves to the rest: the same object with an
 * empty text in its place. Throws `too_large`.
 */
export async function withoutPayload(body: AsyncIterable<Uint8Array>, payload: Payload): Promise<string> {
  const scan = new Scan();
  const rest: Buffer[] = [];
  let [size, beside] = [0, 0];
  for await (const piece of body) {
    size += piece.byteLength;
    if (size > MOST_BYTES) throw tooLarge(`more than ${MOST_BYTES} bytes`);
    for (const { of, bytes, begins } of scan.parts(piece)) {
      if (begins === true) await payload.clear();
      if (of === 'payload') await payload.add(bytes);
      else {
        beside += bytes.byteLength;
        if (beside > MOST_BESIDE) throw tooLarge(`more than ${MOST_BESIDE} bytes beside its payload`);
        rest.push(Buffer.from(bytes));
      }
    }
  }
  return Buffer.concat(rest).toString('utf8');
}

interface Part {
  readonly of: 'rest' | 'payload';
  readonly bytes: Uint8Array;
  /** The text of the payload begins behind it. */
  readonly begins?: true;
}

/** Where in a JSON text the bytes are that come. */
class Scan {
  #depth = 0;
  #state: 'between' | 'text' | 'payload' = 'between';
  #sign: 'plain' | 'escaped' = 'plain';
  /** Behind the colon of a member of the object itself. */
  #isValue = false;
  /** The last name of a member, as it stands there; long ones are cut, since none is looked for. */
  #name = '';

  *parts(piece: Uint8Array): Generator<Part> {
    let start = 0;
    for (let at = 0; at < piece.byteLength; at += 1) {
      const before = this.#state;
      this.#step(piece[at] ?? 0);
      if (before === 'between' && this.#state === 'payload') {
        yield { of: 'rest', bytes: piece.subarray(start, at + 1), begins: true };
        start = at + 1;
      } else if (before === 'payload' && this.#state === 'between') {
        yield { of: 'payload', bytes: piece.subarray(start, at) };
        start = at;
      }
    }
    const of = this.#state === 'payload' ? 'payload' : 'rest';
    if (start < piece.byteLength) yield { of, bytes: piece.subarray(start) };
  }

  #step(byte: number): void {
    if (this.#state !== 'between') this.#inText(byte);
    else if (byte === QUOTE) this.#open();
    else if (OPENING.has(byte)) this.#depth += 1;
    else if (CLOSING.has(byte)) this.#depth -= 1;
    else if (this.#depth === 1 && byte === COLON) this.#isValue = true;
    else if (this.#depth === 1 && byte === COMMA) this.#isValue = false;
  }

  #open(): void {
    const isMember = this.#depth === 1;
    this.#state = isMember && this.#isValue && this.#name === NAME ? 'payload' : 'text';
    if (isMember && !this.#isValue) this.#name = '"';
  }

  #inText(byte: number): void {
    if (this.#state === 'text' && this.#depth === 1 && !this.#isValue && this.#name.length <= NAME.length)
      this.#name += String.fromCharCode(byte);
    if (this.#sign === 'escaped') this.#sign = 'plain';
    else if (byte === BACKSLASH) this.#sign = 'escaped';
    else if (byte === QUOTE) this.#state = 'between';
  }
}

function tooLarge(what: string): PlatformError {
  const message = `The body has ${what}: put the input into the bucket of the job, as inputs/input, and start it without a payload`;
  return new PlatformError('too_large', message);
}
