/**
 * Runs `count` times the same work side by side. Where one fails the others are told by the signal, and waited for;
 * then the first failure is thrown. The work ends early, and all of it, when `outer` aborts.
 */
export async function allOrStop(
  count: number,
  work: (signal: AbortSignal) => Promise<void>,
  outer?: AbortSignal,
): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, ...(outer === undefined ? [] : [outer])]);
  const run = async () => {
    try {
      await work(signal);
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: count }, run));
  signal.throwIfAborted();
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
