import { z } from 'zod';

const sample = z.object({
  memory_stats: z
    .object({
      usage: z.number().optional(),
      max_usage: z.number().optional(),
      stats: z.record(z.string(), z.number()).optional(),
    })
    .catch({}),
  cpu_stats: z
    .object({ cpu_usage: z.object({ total_usage: z.number() }) })
    .optional()
    .catch(undefined),
});

const NANO = 1e9;
/** More than programs take of memory in a second, in bytes. */
const FASTEST = 3e9;

/** Makes figures of the samples of a container that the daemon gives while it runs; they vanish with its end. */
export class ContainerUsage {
  readonly #cpuSecondsBefore: number;
  #peak = 0;
  #most = 0;
  #cpuSeconds = 0;
  #last: { readonly bytes: number; readonly at: number } | undefined;

  /** `before` is what the daemon told before the program ran, of a container that was started ahead. */
  constructor(before?: unknown) {
    this.#cpuSecondsBefore = (sample.safeParse(before).data?.cpu_stats?.cpu_usage.total_usage ?? 0) / NANO;
  }

  /** What was seen so far; empty where the run was too short to be seen. */
  get figures(): { peakMemoryBytes?: number; cpuSeconds?: number } {
    return this.#peak === 0 ? {} : { peakMemoryBytes: this.#peak, cpuSeconds: this.#cpuSeconds };
  }

  /** The most that the kernel has counted, the cache of files with it; 0 where it does not tell. */
  get countedBytes(): number {
    return this.#most;
  }

  /**
   * Whether it may have come to so many bytes of memory by now (by the monotonic clock, in milliseconds), after what
   * was seen last; also where nothing was seen.
   */
  mayHaveReached(bytes: number, now: number): boolean {
    if (this.#last === undefined || this.#most >= bytes) return true;
    return this.#last.bytes + (FASTEST * (now - this.#last.at)) / 1000 >= bytes;
  }

  /** Takes what the daemon tells of a container, and when it was asked. What has ended tells nothing. */
  add(answer: unknown, askedAt: number): void {
    const read = sample.safeParse(answer);
    if (!read.success) return;
    const { memory_stats: memory, cpu_stats: cpu } = read.data;
    const { usage = 0, max_usage: most = usage, stats = {} } = memory;
    if (memory.usage !== undefined) this.#last = { bytes: usage, at: askedAt };
    // Cached files go when memory is wanted: they are not what the program needs. Names of cgroup v1, then of v2.
    const idle = stats.total_inactive_file ?? stats.inactive_file ?? 0;
    const cached = idle + (stats.total_active_file ?? stats.active_file ?? 0);
    this.#most = Math.max(this.#most, most);
    this.#peak = Math.max(this.#peak, usage - idle, most - cached);
    const cpuSeconds = (cpu?.cpu_usage.total_usage ?? 0) / NANO;
    this.#cpuSeconds = Math.max(this.#cpuSeconds, cpuSeconds - this.#cpuSecondsBefore);
  }
}
