import { z } from 'zod';
import { httpBase, type NsqAddress } from './address.ts';
import { causeText } from './errors.ts';

/** How long an HTTP server of NSQ has to answer, in milliseconds. */
const PATIENCE_MS = 1500;

const producers = z.object({
  producers: z.array(
    z.object({ broadcast_address: z.string().min(1), tcp_port: z.int().min(1).max(65_535) }).loose(),
  ),
});

/** The nsqds that an nsqlookupd knows to have a topic; none where it does not know the topic. */
export async function lookUpTopic(lookupd: string, topic: string): Promise<NsqAddress[]> {
  return await ask(lookupd, '/lookup', { topic });
}

/** All nsqds that an nsqlookupd knows. */
export async function lookUpNodes(lookupd: string): Promise<NsqAddress[]> {
  return await ask(lookupd, '/nodes', {});
}

/** Makes a topic and a channel known to an nsqlookupd, or makes them at an nsqd; nothing where they are there. */
export async function createTopic(server: string, topic: string, channel: string | undefined): Promise<void> {
  await call(server, '/topic/create', { topic }, 'POST');
  if (channel !== undefined) await call(server, '/channel/create', { topic, channel }, 'POST');
}

async function ask(lookupd: string, path: string, query: Record<string, string>): Promise<NsqAddress[]> {
  const answer = await call(lookupd, path, query, 'GET');
  if (answer === undefined) return [];
  return producers
    .parse(answer)
    .producers.map(({ broadcast_address, tcp_port }) => ({ host: broadcast_address, port: tcp_port }));
}

/** What is answered as JSON; undefined for 404. Throws the plain reason, with the address and what to do. */
async function call(
  server: string,
  path: string,
  query: Record<string, string>,
  method: 'GET' | 'POST',
): Promise<unknown> {
  const base = httpBase(server);
  const url = new URL(base.pathname.replace(/\/$/, '') + path, base);
  url.search = new URLSearchParams(query).toString();
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    // A connection that is kept would tell of a restart as an error, and be open after us.
    const answer = await fetch(url, { method, signal, headers: { connection: 'close' } });
    const text = await answer.text();
    if (answer.status === 404 && method === 'GET') return undefined;
    if (!answer.ok) throw new Error(`it answers ${answer.status} ${text.slice(0, 100)}`);
    return text === '' || text === 'OK' ? undefined : JSON.parse(text);
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw new Error(
      `${server} does not answer ${path} as NSQ does (${causeText(cause)}): start it, or correct the address.`,
      { cause: error },
    );
  }
}
