import type { ExecutionContext } from 'ava';

const MOST_PAUSE_MS = 50;

/**
 * Tries assertions again and again until they hold; after `withinMs` they are made once more and count. The limit is
 * there for what never comes to hold, so it is far above what a busy machine takes.
 */
export async function eventually(
  t: ExecutionContext,
  assertions: (t: ExecutionContext) => unknown,
  withinMs = 120_000,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 1.2, MOST_PAUSE_MS)) {
    const tried = await t.try(async (inner) => void (await assertions(inner)));
    if (tried.passed || performance.now() > deadline) {
      tried.commit();
      return;
    }
    tried.discard();
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
