/** So many values are remembered where nothing else is said. */
const MOST = 1000;

/** What was found out once, by a text that says of what: the newest of it. */
export class Remembered<T> {
  readonly #most: number;
  readonly #known = new Map<string, T>();

  constructor(most = MOST) {
    this.#most = most;
  }

  /** Undefined: it was not found out yet, or long ago. */
  get(of: string): T | undefined {
    return this.#known.get(of);
  }

  /** Remembers a value, in the place of what was known. */
  keep(of: string, value: T): void {
    this.#known.delete(of);
    this.#known.set(of, value);
    const [oldest] = this.#known.keys();
    if (this.#known.size > this.#most && oldest !== undefined) this.#known.delete(oldest);
  }
}
