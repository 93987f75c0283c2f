import { MOST_METRICS, metricsLine } from '@morpheo/common';
import type { MetricsLine } from '../attempt/event-sender.ts';

/** A line of metrics: an object of JSON, as the program wrote it. */
export type MetricLine = MetricsLine;

const NEWLINE = 0x0a;
const { lineBytes: LINE_BYTES } = MOST_METRICS;
/** The database takes no NUL in a text. */
const NUL = /\\u0000/;
/** Objects and lists in one another. */
const DEPTH = 16;

/**
 * Takes the bytes of a file of metrics as they come, and gives its lines: each an object of JSON, of 4 KiB at the most.
 * Others are counted and left out, and so is a last line until it ends.
 */
export class MetricLines {
  #open: Uint8Array[] = [];
  #openBytes = 0;
  #bad = 0;

  /** How many lines were no metrics. */
  get bad(): number {
    return this.#bad;
  }

  /** The lines that end in these bytes. */
  take(bytes: Uint8Array): MetricLine[] {
    const lines: MetricLine[] = [];
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      this.#add(bytes.subarray(start, end));
      const found = this.#close();
      if (found !== undefined) lines.push(found);
      start = end + 1;
    }
    this.#add(bytes.subarray(start));
    return lines;
  }

  /** The last line, where it has not ended: the program has. */
  end(): MetricLine[] {
    const found = this.#close();
    return found === undefined ? [] : [found];
  }

  #add(bytes: Uint8Array): void {
    this.#openBytes += bytes.byteLength;
    // Of a line that is too long nothing is needed but that it is.
    if (this.#openBytes <= LINE_BYTES) this.#open.push(Uint8Array.from(bytes));
  }

  #close(): MetricLine | undefined {
    const bytes = Buffer.concat(this.#open);
    const isTooLong = this.#openBytes > LINE_BYTES;
    this.#open = [];
    this.#openBytes = 0;
    if (!isTooLong && isBlank(bytes)) return undefined;
    const found = isTooLong ? undefined : parsed(bytes);
    if (found === undefined) this.#bad += 1;
    return found;
  }
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09);
}

function parsed(bytes: Uint8Array): MetricLine | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (NUL.test(text) || depthOf(text) > DEPTH) return undefined;
    const { data } = metricsLine.safeParse(JSON.parse(text));
    return data;
  } catch {
    return undefined;
  }
}

/** How deep objects and lists of a JSON text lie in one another, at the most: what stands in its strings counts too. */
function depthOf(text: string): number {
  let [depth, deepest] = [0, 0];
  for (const character of text) {
    if (character === '{' || character === '[') depth += 1;
    else if (character === '}' || character === ']') depth -= 1;
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}
