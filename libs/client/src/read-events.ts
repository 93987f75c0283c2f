import { type Content, PlatformError, type ServerEvent } from '@morpheo/common';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { misfit, toNetworkError, type Where } from './where.ts';

type Schema = Extract<Content, { type: 'events' }>['schema'];

/** One event is buffered so far, in characters. */
const LONGEST = 8 * 1024 * 1024;

/** The event by which a service says that a stream ended; one that closes without it was cut. */
const END = 'end';

/**
 * The events of an answer, once. Ends when the service says that the stream ended; throws `unavailable` where it was
 * cut and `internal` where an event does not fit its schema. The connection is closed when
 * the iteration stops; where it never begins, abort the call.
 */
export async function* readEvents(
  response: Response,
  schema: Schema,
  where: Where,
): AsyncGenerator<ServerEvent<unknown>, void, undefined> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let arrived: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => arrived.push(event), maxBufferSize: LONGEST });
  try {
    for (;;) {
      const next = await reader?.read();
      if (next === undefined || next.done) throw cut(where);
      parser.feed(decoder.decode(next.value, { stream: true }));
      const events = arrived;
      arrived = [];
      for (const event of events) {
        if (event.event === END) return;
        yield parseEvent(event, schema, where);
      }
    }
  } catch (cause) {
    throw toNetworkError(cause, where);
  } finally {
    await reader?.cancel().catch(() => undefined);
  }
}

function parseEvent(
  { id, event, data }: EventSourceMessage,
  schema: Schema,
  where: Where,
): ServerEvent<unknown> {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw misfit(where, { path: ['data'], message: 'it is no JSON' }, cause);
  }
  const result = schema.safeParse(value);
  if (!result.success) throw misfit(where, result.error.issues[0], result.error);
  return { id: id ?? '', event: event ?? 'message', data: result.data };
}

function cut({ method, url }: Where): PlatformError {
  return new PlatformError('unavailable', `${method} ${url}: the stream of events was cut before its end.`);
}
