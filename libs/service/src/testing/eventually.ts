import type { ExecutionContext } from 'ava';

/** Tries assertions again and again until they hold; after `withinMs` they are made once more and count. */
export async function eventually(
  t: ExecutionContext,
  assertions: (t: ExecutionContext) => unknown,
  withinMs = 5000,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const tried = await t.try(async (inner) => void (await assertions(inner)));
    if (tried.passed || performance.now() > deadline) {
      tried.commit();
      return;
    }
    tried.discard();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
