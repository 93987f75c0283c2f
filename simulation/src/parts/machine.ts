/** A process of the world: it runs, stands still (SIGSTOP) or is gone (SIGKILL); what is gone never comes back. */
export class Machine {
  readonly name: string;
  readonly #gone = Promise.withResolvers<never>();
  #state: 'up' | 'gone' = 'up';
  #thaw: PromiseWithResolvers<void> | undefined;

  constructor(name: string) {
    this.name = name;
    this.#gone.promise.catch(() => undefined);
  }

  /** Whether it was not killed. */
  get isUp(): boolean {
    return this.#state === 'up';
  }

  /** Rejects when the machine is killed. */
  get gone(): Promise<never> {
    return this.#gone.promise;
  }

  /** Lets whoever asks go on when the machine runs: at once, when it runs again, or never. */
  async pass(): Promise<void> {
    while (this.#thaw !== undefined) await this.#thaw.promise;
    if (this.#state === 'gone') await new Promise<never>(() => undefined);
  }

  /** SIGSTOP. */
  freeze(): void {
    this.#thaw ??= Promise.withResolvers();
  }

  /** SIGCONT. */
  thaw(): void {
    this.#thaw?.resolve();
    this.#thaw = undefined;
  }

  /** SIGKILL. */
  kill(): void {
    this.#state = 'gone';
    this.thaw();
    this.#gone.reject(new Error(`${this.name} was killed.`));
  }
}
