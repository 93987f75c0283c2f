import type { Gpu } from '../runtime/index.ts';

/** GPUs that are an attempt's own, or its share of them, until it is disposed; doing that twice is harmless. */
export interface GpuLease {
  readonly gpus: readonly Gpu[];
  [Symbol.dispose](): void;
}

/**
 * Leases GPUs: the driver of containers allocates none, it hands over whatever a run names. Each GPU has so many
 * `slots`, 1 where attempts do not share; a lease takes a slot of as many different GPUs as it is for.
 */
export class GpuAllocator {
  /** How many leases there may be of one GPU. */
  readonly slots: number;
  readonly #gpus = new Map<string, Gpu>();
  /** How many leases there are of a GPU, by its id; also of one that is not found yet. */
  readonly #leases = new Map<string, number>();

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
  }

  /** How many different GPUs one more lease could have now. */
  get free(): number {
    return this.#withRoom().length;
  }

  /** Leases that many different GPUs, those with the fewest leases first; undefined where too few have room. */
  lease(count: number): GpuLease | undefined {
    const leastUsedFirst = this.#withRoom().toSorted((a, b) => this.#count(a) - this.#count(b));
    if (leastUsedFirst.length < count) return undefined;
    return this.leaseAgain(leastUsedFirst.slice(0, count));
  }

  /** Leases the very GPUs that something has which goes on running, whether or not they have room or were found. */
  leaseAgain(gpus: readonly Gpu[]): GpuLease {
    this.#add(gpus, 1);
    let isLeased = true;
    return {
      gpus,
      [Symbol.dispose]: () => {
        if (isLeased) this.#add(gpus, -1);
        isLeased = false;
      },
    };
  }

  #withRoom(): Gpu[] {
    return this.gpus.filter((gpu) => this.#count(gpu) < this.slots);
  }

  #count(gpu: Gpu): number {
    return this.#leases.get(gpu.id) ?? 0;
  }

  #add(gpus: readonly Gpu[], change: 1 | -1): void {
    for (const gpu of gpus) this.#leases.set(gpu.id, this.#count(gpu) + change);
  }
}
