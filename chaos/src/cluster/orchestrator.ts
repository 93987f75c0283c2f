import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

/** An orchestrator that hears how orders end, as the original does, and can be away. */
export class HearingOrchestrator implements AsyncDisposable {
  /** How each order ended, as it was told: every change of it, oldest first. */
  readonly heard = new Map<string, string[]>();
  /** Where it listens. */
  readonly port: number;
  #server: Server | undefined;

  constructor(port: number) {
    this.port = port;
  }

  /** Begins to listen. */
  async start(): Promise<void> {
    const server = createServer((request, response) => void this.#answer(request, response));
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    this.#server = server;
  }

  /** Goes away: its port is closed, and so is every connection. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, route = '', uuid = ''] =
      /^\/(learndone|preddone|worker\/\w+)\/([0-9a-f-]+)$/.exec(request.url ?? '') ?? [];
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const [status, body] = route.endsWith('done') ? this.#hear(uuid, text) : [200, { worker_set: uuid }];
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  #hear(uuid: string, text: string): [number, Record<string, string>] {
    const { status } = JSON.parse(text) as { status: string };
    const before = this.heard.get(uuid) ?? [];
    if (before.at(-1) === status) return [400, { Error: `no update of learnuplet ${uuid}` }];
    this.heard.set(uuid, [...before, status]);
    return [200, { updated: uuid }];
  }
}
