import type { Family } from './family.ts';
import { type ProcessEntry, readMemory, readSharedMemory } from './process-table.ts';

/**
 * Samples what the processes of a run take. What happens between two samples is not seen, nor the last moments of a
 * process: the figures are lower bounds of the truth.
 */
export class UsageWatch {
  readonly #family: Family;
  readonly #memoryBytes: number;
  #peak = 0;
  #cpuSeconds = 0;

  constructor(family: Family, memoryBytes: number) {
    this.#family = family;
    this.#memoryBytes = memoryBytes;
  }

  /** What was seen so far; empty where the run was too short to be seen. */
  get figures(): { peakMemoryBytes?: number; cpuSeconds?: number } {
    return this.#peak === 0 ? {} : { peakMemoryBytes: this.#peak, cpuSeconds: this.#cpuSeconds };
  }

  /** Takes a sample. True where the run takes more memory than it may. */
  isBeyond(): boolean {
    const relatives = this.#family.relatives();
    const cpuSeconds = relatives.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
    this.#cpuSeconds = Math.max(this.#cpuSeconds, cpuSeconds);
    let resident = 0;
    let own = 0;
    for (const { pid } of relatives) {
      const memory = readMemory(pid);
      if (memory === undefined) continue;
      resident += memory.resident;
      own += memory.own;
      this.#peak = Math.max(this.#peak, memory.peak);
    }
    this.#peak = Math.max(this.#peak, resident);
    // Relatives share pages: the sum is asked for exactly only where it matters, since that takes long.
    return own > this.#memoryBytes && exactMemory(relatives) > this.#memoryBytes;
  }
}

function exactMemory(entries: readonly ProcessEntry[]): number {
  return entries.reduce((sum, { pid }) => sum + (readSharedMemory(pid) ?? readMemory(pid)?.own ?? 0), 0);
}
