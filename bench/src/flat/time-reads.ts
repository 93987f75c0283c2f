import { Agent, request } from 'node:http';
import { percentile } from '../bench.ts';
import type { ReadCase } from './read-cases.ts';
import { authorizationOf } from './read-server.ts';

/** How long calls took, in milliseconds. */
export interface Taken {
  /** The quickest: what else the machine does is in it least. */
  readonly least: number;
  readonly p50: number;
  readonly p99: number;
}

/** A caller on one connection, which it keeps. */
export class Reader implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  /** Makes a call, and returns its milliseconds. Throws where it is answered with another status than it should be. */
  async time(url: string, read: ReadCase): Promise<number> {
    const { path, method = 'GET', headers, as = 'admin', status = 200 } = read;
    const started = performance.now();
    const answered = await new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
      const sent = request(
        `${url}${path}`,
        { method, agent: this.#agent, headers: { authorization: authorizationOf(as), ...headers } },
        (answer) => {
          let body = '';
          answer.setEncoding('latin1').on('data', (text: string) => {
            if (body.length < 500) body += text;
          });
          answer.on('end', () => resolve({ status: answer.statusCode, body })).on('error', reject);
        },
      );
      sent.on('error', reject).end();
    });
    if (answered.status !== status)
      throw new Error(`${method} ${path} of ${url} answered ${answered.status}: ${answered.body}`);
    return performance.now() - started;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** The middle and the end of what calls took. */
export function takenOf(ms: readonly number[]): Taken {
  return { least: Math.min(...ms), p50: percentile(ms, 0.5), p99: percentile(ms, 0.99) };
}
