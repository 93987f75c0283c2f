import { buildFailure } from '../failure.ts';
import type { Reference, Template } from '../syntax/template.ts';

const COUNT = 100;
const BYTES = 32 * 1024;

/**
 * The variables of a stage: ENV lines stay in the environment of the program, ARG lines are known to later lines and
 * to RUN only. Of a name that both set, the later line counts. Bounded in number and size, since whoever wrote the
 * Dockerfile is not trusted.
 */
export class Variables {
  readonly #environment: Map<string, string>;
  readonly #arguments: Map<string, string>;
  #bytes = 0;

  constructor(
    environment: Iterable<readonly [string, string]> = [],
    args: Iterable<readonly [string, string]> = [],
  ) {
    this.#environment = new Map(environment);
    this.#arguments = new Map(args);
  }

  /** Those that the next stage starts with, changed by itself: there the environment counts before ARG lines of here. */
  ofNextStage(): Variables {
    const passed = [...this.#arguments].filter(([name]) => !this.#environment.has(name));
    return new Variables(this.#environment, passed);
  }

  /** What the program gets. */
  get environment(): ReadonlyMap<string, string> {
    return new Map(this.#environment);
  }

  /** The names of ARG lines that hold: the image does not keep what they say. */
  get passing(): readonly string[] {
    return [...this.#arguments.keys()];
  }

  /** What a RUN line gets: ARG lines too. */
  get all(): ReadonlyMap<string, string> {
    return new Map([...this.#environment, ...this.#arguments]);
  }

  /** The value of a variable; undefined where it is not set. */
  get(name: string): string | undefined {
    return this.#arguments.get(name) ?? this.#environment.get(name);
  }

  /** Sets a variable of an ENV or ARG line. Throws `build_failed`. */
  set(kind: 'ENV' | 'ARG', name: string, value: string, line: number): void {
    if (value.includes('\0')) throw buildFailure(`The value of ${name} has a NUL character in it.`, line);
    this.#bytes += name.length + Buffer.byteLength(value);
    if (this.#bytes > BYTES || this.#environment.size + this.#arguments.size >= COUNT) {
      throw buildFailure(`The variables are too many: at most ${COUNT} of ${BYTES} bytes together.`, line);
    }
    if (kind === 'ENV') this.#arguments.delete(name);
    (kind === 'ENV' ? this.#environment : this.#arguments).set(name, value);
  }

  /** A text with its references replaced; what is not set is empty, as with Docker. Throws `build_failed`. */
  expand(template: Template, line: number): string {
    let text = '';
    for (const piece of template) {
      text += typeof piece === 'string' ? piece : this.#valueOf(piece, line);
      if (Buffer.byteLength(text) > BYTES)
        throw buildFailure(`The variables make a text of more than ${BYTES} bytes.`, line);
    }
    return text;
  }

  #valueOf({ name, otherwise }: Reference, line: number): string {
    const value = this.get(name);
    if (otherwise === undefined) return value ?? '';
    const { operator, emptyIsUnset } = otherwise;
    const isSet = value !== undefined && !(emptyIsUnset && value === '');
    if (operator === '+') return isSet ? this.expand(otherwise.text, line) : '';
    if (isSet) return value;
    const text = this.expand(otherwise.text, line);
    if (operator === '-') return text;
    throw buildFailure(
      `${name} ${text === '' ? 'has no value' : text}: give it a value by ENV, or by ARG with a default.`,
      line,
    );
  }
}
