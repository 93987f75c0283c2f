import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { styleText } from 'node:util';
import { jsonText } from './text.ts';

/** A stream of output: a terminal where `isTTY` is true. */
export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** The looks that texts may have. */
export type Look = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan' | 'magenta';

/** Paints a text, or leaves it as it is where colours are not wanted. */
export type Paint = (look: Look, text: string) => string;

/** Where a command writes: results to one stream, everything else to the other. */
export interface Terminal {
  /** True where results are asked for as JSON: then nothing else goes to stdout. */
  readonly json: boolean;
  /** True where stdout is a terminal that a person looks at. */
  readonly interactive: boolean;
  /** True where stdout may have colours. */
  readonly colours: boolean;
  /** Paints for stdout. */
  readonly paint: Paint;
  /** Paints for stderr. */
  readonly paintNote: Paint;
  readonly stderr: OutputStream;
  /** Writes to stdout as it is, and resolves when the stream takes more. */
  write(text: string | Uint8Array): Promise<void>;
  /** Writes a line of the result. Not for JSON: see {@link Terminal.result}. */
  line(text?: string): Promise<void>;
  /** The result of a command: `value` where JSON is asked for, else the text for people. */
  result(value: unknown, text: () => string): Promise<void>;
  /** One of many results, as they come: `value` on a line of its own where JSON is asked for, else the text. */
  item(value: unknown, text: () => string): Promise<void>;
  /** A hint, or progress, on stderr. */
  note(text: string): void;
}

/** What a {@link Terminal} is made of. */
export interface TerminalOptions {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly json: boolean;
  readonly signal: AbortSignal;
}

/** Makes a {@link Terminal}. Colours: on a terminal alone, and not with NO_COLOR (no-color.org) or `TERM=dumb`. */
export function createTerminal(options: TerminalOptions): Terminal {
  const { stdout, stderr, env, json, signal } = options;

  async function write(text: string | Uint8Array): Promise<void> {
    signal.throwIfAborted();
    if (!stdout.write(text)) await once(stdout, 'drain', { signal });
  }

  const line = (text = '') => write(`${text}\n`);
  return {
    json,
    interactive: stdout.isTTY === true,
    colours: takesColours(stdout, env),
    paint: painter(stdout, env),
    paintNote: painter(stderr, env),
    stderr,
    write,
    line,
    result: (value, text) => line(json ? jsonText(value, 2) : text()),
    item: (value, text) => line(json ? jsonText(value) : text()),
    note: (text) => void stderr.write(`${text}\n`),
  };
}

/** The {@link Paint} for a stream. */
export function painter(stream: OutputStream, env: Readonly<Record<string, string | undefined>>): Paint {
  const colours = takesColours(stream, env);
  return (look, text) => (colours ? styleText(look, text, { validateStream: false }) : text);
}

function takesColours(stream: OutputStream, env: Readonly<Record<string, string | undefined>>): boolean {
  return stream.isTTY === true && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb';
}
