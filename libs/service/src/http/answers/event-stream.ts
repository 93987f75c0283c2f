import type { ServerResponse } from 'node:http';
import type { ServerEvent } from '@morpheo/common';

/** What goes into an event stream, and when it stops. */
export interface EventStream {
  readonly events: AsyncIterable<ServerEvent<unknown>>;
  /** Aborted when the client is gone or the server stops: the iterator is returned, and no end is told. */
  readonly signal: AbortSignal;
  /** How often a comment says that the stream lives, in milliseconds. */
  readonly heartbeatMs: number;
}

/** How long a client should wait before it connects again, in milliseconds. */
const RETRY_MS = 1000;

/**
 * Writes Server-Sent Events (HTML, "9.2 Server-sent events"), no faster than the client reads, with a comment when
 * nothing happens. When the iterator ends by itself a last event `end` says so: a stream that closes without it was
 * cut, and a client goes on from the last id that it has seen. Rejects with what the iterator throws.
 */
export async function writeEvents(response: ServerResponse, stream: EventStream): Promise<void> {
  const { signal } = stream;
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  response.write(`retry: ${RETRY_MS}\n\n`);
  const heartbeat = setInterval(
    () => response.writableNeedDrain || response.write(':\n\n'),
    stream.heartbeatMs,
  );
  heartbeat.unref();
  const iterator = stream.events[Symbol.asyncIterator]();
  const unlessAborted = createRace(signal);
  try {
    for (;;) {
      const next = await unlessAborted(iterator.next());
      if (next === ABORTED) break;
      if (next.done === true) {
        response.write('event: end\ndata: {}\n\n');
        break;
      }
      if (response.write(format(next.value))) continue;
      if ((await unlessAborted(drained(response))) === ABORTED) break;
    }
  } finally {
    clearInterval(heartbeat);
    response.end();
    // Not awaited: an iterator that waits for its next event answers only when that has come.
    iterator.return?.().catch(() => undefined);
  }
}

const ABORTED = Symbol('aborted');

/** Settles as a promise does, or resolves to {@link ABORTED} as soon as the signal aborts. */
function createRace(signal: AbortSignal) {
  let stop: (() => void) | undefined;
  // One listener for the life of the stream: racing each event with one lasting promise would keep them all.
  signal.addEventListener('abort', () => stop?.(), { once: true });
  return <T>(promise: Promise<T>): Promise<T | typeof ABORTED> =>
    new Promise((resolve, reject) => {
      if (signal.aborted) resolve(ABORTED);
      stop = () => resolve(ABORTED);
      promise.then(resolve, reject);
    });
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => response.once('drain', () => resolve()));
}

function format({ id, event, data }: ServerEvent<unknown>): string {
  return `id: ${oneLine(id)}\nevent: ${oneLine(event)}\ndata: ${JSON.stringify(data)}\n\n`;
}

function oneLine(text: string): string {
  return text.replaceAll(/[\r\n\0]/g, ' ');
}
