import type { BytesOut, Endpoint } from '@morpheo/common';
import { readEvents } from './read-events.ts';
import { readText } from './read-text.ts';
import { misfit, toNetworkError, type Where } from './where.ts';

/** JSON answers are lists of at most a few hundred items: what is larger is not ours, in bytes. */
const JSON_LIMIT = 64 * 1024 * 1024;

/** Reads an answer that is no error, by the contract; see `createClient` for what is thrown. */
export async function readAnswer(response: Response, endpoint: Endpoint, where: Where): Promise<unknown> {
  const content = endpoint.response;
  if (content.type === 'bytes') return toBytes(response, where);
  if (content.type === 'events') return readEvents(response, content.schema, where);
  if (content.type === 'headers') {
    await response.body?.cancel();
    return { headers: Object.fromEntries(response.headers) };
  }
  if (content.type === 'none' || content.type === 'unread') {
    await response.body?.cancel();
    return undefined;
  }
  const text = await readText(response, JSON_LIMIT, where);
  const result = content.schema.safeParse(parseJson(text, where));
  if (result.success) return result.data;
  throw misfit(where, result.error.issues[0], result.error);
}

function parseJson(text: string, where: Where): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw misfit(where, { path: [], message: 'it is no JSON' }, cause);
  }
}

function toBytes(response: Response, where: Where): BytesOut {
  const headers = Object.fromEntries(response.headers);
  const body = response.body === null ? undefined : tellCuts(response.body, where);
  return { status: response.status, headers, ...(body === undefined ? {} : { body }) };
}

/** The same bytes; where they break off, the error says of which request. */
function tellCuts(body: ReadableStream<Uint8Array>, where: Where): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const next = await reader.read();
          if (next.done) controller.close();
          else controller.enqueue(next.value);
        } catch (cause) {
          throw toNetworkError(cause, where);
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
