import type { StorageSettings } from '../config/settings.ts';
import type { StorageDatabase } from '../metadata/schema.ts';
import { quotaExceeded, usedBy } from './check.ts';

/** What is known of an upload before its bytes come. */
export interface Announced {
  /** How many bytes are said to come. */
  readonly announced?: number | undefined;
  /** How many bytes go once they are there, since they are replaced. */
  readonly frees?: number | undefined;
  /** Only a quota that names the owner counts, not the one that all others have. */
  readonly onlyNamed?: boolean | undefined;
}

/** What one upload may bring; disposed when the upload has ended. */
export interface Budget extends Disposable {
  /** The quota that holds for it; none where absent. The transaction that records the upload compares it once more. */
  readonly quota: number | undefined;
  /** The same bytes; fails with `quota_exceeded` as soon as they are too many. */
  metered(source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
}

/**
 * Refuses uploads that would pass the quota of their owner while nothing, or little, of them is stored. What other
 * uploads of this process have announced counts as used.
 */
export interface Budgets {
  /** Throws `quota_exceeded` where what is announced is too much. An unknown owner has no quota. */
  open(owner: string | undefined, upload?: Announced): Promise<Budget>;
  /** The quota of an owner; none where undefined. */
  readonly quotaOf: (owner: string) => number | undefined;
}

/** Makes the {@link Budgets}. */
export function createBudgets(
  { read }: StorageDatabase,
  { quota: usual, quotas = {} }: Pick<StorageSettings, 'quota' | 'quotas'>,
): Budgets {
  const named = new Map(Object.entries(quotas));
  const onTheWay = new Map<string, number>();
  const quotaOf = (owner: string) => (owner === '' ? undefined : (named.get(owner) ?? usual));
  return {
    quotaOf,
    async open(owner = '', { announced = 0, frees = 0, onlyNamed = false } = {}) {
      const quota = onlyNamed ? named.get(owner) : quotaOf(owner);
      if (quota === undefined) return FREE;
      const used = await usedBy(read, owner);
      const others = onTheWay.get(owner) ?? 0;
      let reserved = 0;
      const reserve = async (adds: number): Promise<void> => {
        const wanted = Math.max(0, adds - frees) - reserved;
        if (wanted <= 0) return;
        const coming = onTheWay.get(owner) ?? 0;
        if (used + coming + wanted > quota)
          throw await quotaExceeded(read, { owner, quota, adds }, used + others);
        onTheWay.set(owner, coming + wanted);
        reserved += wanted;
      };
      await reserve(announced);
      return {
        quota,
        metered: (source) => meteredBy(source, reserve),
        [Symbol.dispose]: () => {
          const left = (onTheWay.get(owner) ?? 0) - reserved;
          reserved = 0;
          if (left > 0) onTheWay.set(owner, left);
          else onTheWay.delete(owner);
        },
      };
    },
  };
}

const FREE: Budget = { quota: undefined, metered: (source) => source, [Symbol.dispose]: () => {} };

async function* meteredBy(
  source: AsyncIterable<Uint8Array>,
  reserve: (total: number) => Promise<void>,
): AsyncGenerator<Uint8Array> {
  let total = 0;
  for await (const piece of source) {
    total += piece.byteLength;
    await reserve(total);
    yield piece;
  }
}
