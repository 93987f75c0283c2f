import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** How a server is to be loaded. */
export interface LoadOptions {
  readonly url: string;
  readonly path: string;
  /** Each sends its next request when its last one is answered. */
  readonly callers: number;
  readonly ms: number;
  /** `application/json` where absent. */
  readonly type?: string;
  /** What is answered where all went well; 202 where absent. */
  readonly status?: number;
  /** Who calls; nobody where absent. */
  readonly authorization?: string;
  /** Called with the body of each answer; throws where it is not as it should be. */
  readonly check?: (body: string) => void;
  /** Makes the next body, and the id by which it is known. */
  readonly next: () => { readonly id: string; readonly body: string };
}

/** What came of it. Every request was answered as it should be. */
export interface LoadResult {
  readonly accepted: readonly string[];
  readonly seconds: number;
  /** How long each request took, in milliseconds. */
  readonly latencies: readonly number[];
}

/**
 * Posts texts by a number of callers, each on a connection of its own, once at least, until the time is over and the
 * last answer is there; the time begins when all are connected. It speaks just enough HTTP/1.1 to do that, so that it
 * takes little of the machine from the server: the generators that there are take several times as long for a request as
 * a bare server does. Throws at the first answer that is another.
 */
export async function load(options: LoadOptions): Promise<LoadResult> {
  const accepted: string[] = [];
  const latencies: number[] = [];
  await using callers = new AsyncDisposableStack();
  const opened = await Promise.all(Array.from({ length: options.callers }, () => openCaller(options)));
  for (const caller of opened) callers.use(caller);
  const started = performance.now();
  const until = started + options.ms;
  await Promise.all(
    opened.map(async (caller) => {
      let now = performance.now();
      do {
        const { id, body } = options.next();
        await caller.post(body);
        accepted.push(id);
        const answered = performance.now();
        latencies.push(answered - now);
        now = answered;
      } while (now < until);
    }),
  );
  return { accepted, latencies, seconds: (performance.now() - started) / 1000 };
}

interface Caller extends AsyncDisposable {
  post(body: string): Promise<void>;
}

async function openCaller({
  url,
  path,
  type = 'application/json',
  status = 202,
  authorization,
  check,
}: LoadOptions): Promise<Caller> {
  const { hostname, port, host } = new URL(url);
  const socket: Socket = connect({ host: hostname, port: Number(port), noDelay: true });
  await once(socket, 'connect');
  let settle: PromiseWithResolvers<string> | undefined;
  let received = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text;
    if (!isWhole(received)) return;
    if (received.startsWith(`HTTP/1.1 ${status} `)) settle?.resolve(received);
    else settle?.reject(new Error(`${url}${path} answered:\n${received}`));
    received = '';
  });
  socket.on('error', (error) => settle?.reject(error));
  socket.on('close', () => settle?.reject(new Error(`${url} closed the connection`)));
  const head = `POST ${path} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: ${type}${authorization === undefined ? '' : `\r\nauthorization: ${authorization}`}\r\ncontent-length: `;
  return {
    async post(body) {
      settle = Promise.withResolvers();
      socket.write(`${head}${Buffer.byteLength(body)}\r\n\r\n${body}`);
      const answer = await settle.promise;
      check?.(answer.slice(answer.indexOf('\r\n\r\n') + 4));
    },
    async [Symbol.asyncDispose]() {
      settle = undefined;
      socket.destroy();
    },
  };
}

/** Whether an answer with a `Content-Length` has come to its end; both servers send one. */
function isWhole(answer: string): boolean {
  const end = answer.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(answer.slice(0, end + 2))?.[1];
  if (length === undefined) throw new Error(`An answer does not tell its length:\n${answer}`);
  return answer.length >= end + 4 + Number(length);
}
