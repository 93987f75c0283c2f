import { Agent, request } from 'node:http';
import * as z from 'zod';

const answer = z.object({
  calls: z.array(z.object({ id: z.string(), inputs: z.string(), outputs: z.string() })),
});

/** A call that the worker has given: folders of what it is given, and of what it answers. */
export type Call = z.infer<typeof answer>['calls'][number];

/** How a call went. */
export type Outcome =
  | { readonly ok: true }
  | { readonly ok: false; readonly message: string; readonly type: string };

/** The worker, at its socket (the contract of runners, version 1). */
export class WorkerDoor {
  readonly #socketPath: string;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** Waits for calls, `most` of them at once; none where there were none for a minute. The first says that the program is ready. */
  async next(most: number): Promise<readonly Call[]> {
    const text = await this.#ask('GET', `/next?max=${most}`);
    return text === '' ? [] : answer.parse(JSON.parse(text)).calls;
  }

  /** Says that a call is answered. */
  async done(id: string, outcome: Outcome): Promise<void> {
    await this.#ask('POST', '/done', JSON.stringify({ id, ...outcome }));
  }

  async #ask(method: string, path: string, body?: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const asked = request({ socketPath: this.#socketPath, agent: this.#agent, method, path }, (response) => {
      const parts: string[] = [];
      response.setEncoding('utf8');
      response.on('data', (part: string) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        const text = parts.join('');
        if ((response.statusCode ?? 500) < 400) resolve(text);
        else reject(new Error(`The worker refused ${method} ${path}: ${text}`));
      });
    });
    asked.on('error', reject);
    asked.end(body);
    return await promise;
  }
}
