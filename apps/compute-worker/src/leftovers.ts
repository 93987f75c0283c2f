import type { AttemptRecord } from './attempt-record.ts';
import type { AttemptName, ContainerRuntime } from './container-runtime/index.ts';
import type { Workspaces } from './workspace.ts';

/** Before anybody else may take the order, as for a lease that is not renewed. */
const SHARE = 2 / 3;

/** What a {@link Leftovers} works with. */
export interface LeftoverParts {
  readonly runtime: Pick<ContainerRuntime, 'disown'>;
  readonly workspaces: Pick<Workspaces, 'left' | 'discard'>;
}

/**
 * The attempts that a dead process of this worker left and that this one could go on with. They are named to
 * compute-api; what it does not leave to this worker, or not in time, is let go of with its containers and files.
 */
export class Leftovers {
  readonly #parts: LeftoverParts;
  readonly #left: Map<string, AttemptRecord>;
  /** For how long compute-api may be waited for, in milliseconds from now. */
  readonly patienceMs: number;

  constructor(parts: LeftoverParts) {
    this.#parts = parts;
    this.#left = new Map(parts.workspaces.left.map((record) => [keyOf(record.of), record]));
    this.patienceMs = Math.min(...parts.workspaces.left.map((record) => record.leaseMs)) * SHARE;
  }

  /** The attempts that nobody has taken up or let go of. */
  get attempts(): AttemptName[] {
    return [...this.#left.values()].map((record) => record.of);
  }

  /** Takes an attempt up; undefined where there is nothing of it. Whoever does so calls {@link end} after it. */
  take(attempt: AttemptName): AttemptRecord | undefined {
    const record = this.#left.get(keyOf(attempt));
    this.#left.delete(keyOf(attempt));
    return record;
  }

  /** Ends what the containers of an attempt that was taken up may have left. */
  async end(attempt: AttemptName): Promise<void> {
    await this.#parts.runtime.disown?.(attempt);
  }

  /** Lets go of all but these. */
  async keepOnly(attempts: readonly AttemptName[]): Promise<void> {
    const kept = new Set(attempts.map(keyOf));
    for (const [key, record] of [...this.#left]) {
      if (kept.has(key)) continue;
      this.#left.delete(key);
      await this.#parts.runtime.disown?.(record.of);
      await this.#parts.workspaces.discard(record);
    }
  }
}

function keyOf({ order, attempt }: AttemptName): string {
  return `${order} ${attempt}`;
}
