import type { Message } from 'nsqjs';

/** The longest time between two signs of life, so that no setting of nsqd overflows a timer. */
const MOST_MS = 60_000;

/**
 * Keeps nsqd from giving a message to somebody else while its handler runs. Beyond the time that nsqd allows whatever
 * it is told, the message is finished, for then it would be handled twice.
 */
export function keepInFlight(message: Message, messageTimeoutMs: number): Disposable {
  const everyMs = Math.min(messageTimeoutMs / 3, MOST_MS);
  const timer = setInterval(() => {
    const leftMs = message.timeUntilTimeout(true) ?? 0;
    if (leftMs > 2 * everyMs) message.touch();
    else message.finish();
  }, everyMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
