import { buildFailure } from '../dockerfile/build-failure.ts';

const COUNT = 100;
const BYTES = 32 * 1024;
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,99}$/;
/** `\$`, `$NAME`, `${NAME}`, or what else begins with a dollar. */
const REFERENCE = /\\\$|\$(?<bare>[A-Za-z_][A-Za-z0-9_]*)|\$\{(?<braced>[A-Za-z_][A-Za-z0-9_]*)\}|\$\{/g;

/**
 * The variables of a Dockerfile's stage: ENV lines stay in the environment of the program, ARG lines are known to
 * later lines only. Bounded in number and size, since whoever wrote the Dockerfile is not trusted.
 */
export class Variables {
  readonly #environment = new Map<string, string>();
  readonly #arguments = new Map<string, string>();
  #bytes = 0;

  /** What the program gets. */
  get environment(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#environment);
  }

  /** Sets a variable of an ENV or ARG line. Throws `build_failed`. */
  set(kind: 'ENV' | 'ARG', name: string, value: string, line: number): void {
    if (!NAME.test(name)) throw buildFailure(`${kind} must be written as ${kind} NAME=value.`, line);
    if (value.includes('\0')) throw buildFailure(`The value of ${name} has a NUL character in it.`, line);
    this.#bytes += name.length + Buffer.byteLength(value);
    if (this.#bytes > BYTES || this.#environment.size + this.#arguments.size >= COUNT) {
      throw buildFailure(`The variables are too many: at most ${COUNT} of ${BYTES} bytes together.`, line);
    }
    (kind === 'ENV' ? this.#environment : this.#arguments).set(name, value);
  }

  /**
   * A text with its references replaced; what is not known is empty, as with Docker. PATH stays as it is written:
   * its value is known only when the program starts. Throws `build_failed` for `${NAME:-default}` and the like.
   */
  expand(text: string, line: number): string {
    let bytes = Buffer.byteLength(text);
    return text.replaceAll(REFERENCE, (reference, ...rest) => {
      if (reference === '\\$') return '$';
      const { bare, braced } = rest.at(-1) as { bare?: string; braced?: string };
      const name = bare ?? braced;
      if (name === undefined)
        throw buildFailure(`Of variables, only $NAME and \${NAME} are understood here.`, line);
      const value =
        this.#environment.get(name) ?? this.#arguments.get(name) ?? (name === 'PATH' ? '$PATH' : '');
      bytes += Buffer.byteLength(value);
      if (bytes > BYTES) throw buildFailure(`The variables make a text of more than ${BYTES} bytes.`, line);
      return value;
    });
  }
}
