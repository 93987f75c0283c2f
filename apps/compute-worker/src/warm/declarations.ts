/** So many algorithms are remembered. */
const MOST = 1000;

/** Which algorithms say of themselves that they are warm runners, by the digests of their archives, as far as that was seen. */
export class Declarations {
  readonly #known = new Map<string, boolean>();

  /** Undefined: it was not seen yet, or long ago. */
  of(digest: string): boolean | undefined {
    return this.#known.get(digest);
  }

  /** Keeps what the image of an algorithm says. */
  note(digest: string, isRunner: boolean): void {
    this.#known.delete(digest);
    this.#known.set(digest, isRunner);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST && oldest !== undefined) this.#known.delete(oldest);
  }
}
