import type { Gpu } from '../runtime/index.ts';

/** GPUs that are somebody's own, or the share of them, until it is disposed; doing that twice is harmless. */
export interface GpuLease {
  readonly gpus: readonly Gpu[];
  /** Resolves once those who had lent them have let go of them: they are not to be used before. */
  readonly ready: Promise<void>;
  /**
   * Lets others have them while they are not used, until the answer is disposed: they count as free, and `giveUp` is called
   * once somebody leases them, which is to dispose of this lease.
   */
  lend(giveUp: () => Promise<void>): Disposable;
  [Symbol.dispose](): void;
}

/** A lease as the allocator has it. */
interface Held {
  readonly gpus: readonly Gpu[];
  /** Its holder does not use them. */
  lent: { readonly giveUp: () => Promise<void>; given: Promise<void> | undefined } | undefined;
}

/**
 * Leases GPUs: the driver of containers allocates none, it hands over whatever a run names. Each GPU has so many
 * `slots`, 1 where attempts do not share; a lease takes a slot of as many different GPUs as it is for.
 */
export class GpuAllocator {
  /** How many leases there may be of one GPU. */
  readonly slots: number;
  readonly #gpus = new Map<string, Gpu>();
  /** Also of GPUs that are not found yet. */
  readonly #leases = new Set<Held>();
  readonly #listeners = new Set<() => void>();

  constructor(gpus: readonly Gpu[], slots = 1) {
    this.slots = slots;
    this.add(gpus);
  }

  /** All of them, leased or not. */
  get gpus(): readonly Gpu[] {
    return [...this.#gpus.values()];
  }

  /** Takes in GPUs that are found. */
  add(gpus: readonly Gpu[]): void {
    for (const gpu of gpus) this.#gpus.set(gpu.id, gpu);
    this.#tell();
  }

  /** How many different GPUs one more lease could have now. */
  get free(): number {
    return this.#withRoom().length;
  }

  /** Calls `listener` after there may be more that are free. */
  onFree(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /**
   * Leases that many different GPUs, those with the fewest leases first; undefined where too few have room. Of those that
   * others have lent, the ones that were lent first are asked for.
   */
  lease(count: number): GpuLease | undefined {
    const leastUsedFirst = this.#withRoom().toSorted((a, b) => this.#of(a).length - this.#of(b).length);
    if (leastUsedFirst.length < count) return undefined;
    return this.leaseAgain(leastUsedFirst.slice(0, count));
  }

  /** Leases the very GPUs that something has which goes on running, whether or not they have room or were found. */
  leaseAgain(gpus: readonly Gpu[]): GpuLease {
    const held: Held = { gpus, lent: undefined };
    this.#leases.add(held);
    const given = gpus.flatMap((gpu) => this.#askBack(gpu));
    return {
      gpus,
      ready: Promise.all(given).then(() => undefined),
      lend: (giveUp) => {
        const lent = { giveUp, given: undefined };
        // Behind those that were lent before.
        if (this.#leases.delete(held)) this.#leases.add(held);
        held.lent = lent;
        this.#tell();
        return {
          [Symbol.dispose]: () => {
            if (held.lent === lent && lent.given === undefined) held.lent = undefined;
          },
        };
      },
      [Symbol.dispose]: () => {
        if (this.#leases.delete(held)) this.#tell();
      },
    };
  }

  /** Asks for a GPU back from those who have lent it, as far as there are too many leases of it; what to wait for. */
  #askBack(gpu: Gpu): Promise<void>[] {
    const all = this.#of(gpu);
    const lent = all.flatMap((held) => (held.lent === undefined ? [] : [held.lent]));
    const asked = lent.slice(0, Math.max(0, all.length - this.slots));
    return asked.map((one) => {
      one.given ??= one.giveUp();
      return one.given;
    });
  }

  #withRoom(): Gpu[] {
    return this.gpus.filter(
      (gpu) => this.#of(gpu).filter(({ lent }) => lent === undefined).length < this.slots,
    );
  }

  #of(gpu: Gpu): Held[] {
    return [...this.#leases].filter(({ gpus }) => gpus.some(({ id }) => id === gpu.id));
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
