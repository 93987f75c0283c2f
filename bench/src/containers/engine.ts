import { Agent, type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

/** Just enough of the Docker Engine's API, over one kept connection for each call that is under way. */
export interface Engine extends Disposable {
  /** Makes a call, and returns its JSON; undefined where it answers with none. Throws {@link EngineRefusal}. */
  ask(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<unknown>;
  /** The ids of the containers that are created from now on, until `signal` aborts; resolves once it listens. */
  created(signal: AbortSignal): Promise<AsyncIterable<string>>;
}

/** What the daemon refuses, with the status that it says so by. */
export class EngineRefusal extends Error {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

/** Speaks with the daemon behind a Unix socket. Source: Docker Engine API v1.41. */
export function openEngine(socketPath: string): Engine {
  const agent = new Agent({ keepAlive: true });

  async function send(method: string, path: string, body?: unknown, signal?: AbortSignal) {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const headers =
      sent === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(sent) };
    const options = { socketPath, agent, method, path: `/v1.41${path}`, headers };
    request(signal === undefined ? options : { ...options, signal }, resolve)
      .on('error', reject)
      .end(sent);
    const answer = await promise;
    const { statusCode: status = 0 } = answer;
    if (status < 400) return answer;
    throw new EngineRefusal(`${method} ${path}: ${status} ${await text(answer)}`, status);
  }

  return {
    async ask(method, path, body) {
      const answer = await text(await send(method, path, body));
      return answer.startsWith('{') || answer.startsWith('[') ? JSON.parse(answer) : undefined;
    },
    async created(signal) {
      const filters = encodeURIComponent(JSON.stringify({ type: ['container'], event: ['create'] }));
      const events = await send('GET', `/events?filters=${filters}`, undefined, signal);
      // Whoever has stopped reading does not hear that it was cut off.
      events.on('error', () => undefined);
      return idsOf(events, signal);
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
}

async function* idsOf(events: IncomingMessage, signal: AbortSignal): AsyncGenerator<string> {
  const lines = createInterface({ input: events });
  // It passes on the errors of what it reads, also when nobody reads any more.
  lines.on('error', () => undefined);
  try {
    for await (const line of lines) {
      // One object a line, by the API's description.
      const { id } = JSON.parse(line) as { id: string };
      yield id;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
