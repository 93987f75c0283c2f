import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The program of the benchmark with nothing around it but the socket that it is spoken to by. */
export interface BareRunner extends AsyncDisposable {
  /** Has the program answer one call. */
  call(): Promise<void>;
}

/** Starts the program as a plain process; `folder` is for the socket. Resolves when it asks for its first call. */
export async function startBareRunner(folder: string): Promise<BareRunner> {
  const socket = join(folder, 'bare.sock');
  const ready = Promise.withResolvers<void>();
  const open = new Map<string, () => void>();
  const waiting: string[] = [];
  let asking: ServerResponse | undefined;
  const give = () => {
    if (asking === undefined || waiting.length === 0) return;
    const calls = waiting.splice(0, 16).map((id) => ({ id, inputs: '', outputs: '' }));
    asking.end(JSON.stringify({ calls }));
    asking = undefined;
  };
  const server = createServer(async (request, answer) => {
    if (request.method === 'GET') {
      asking = answer;
      ready.resolve();
      return give();
    }
    const { id } = JSON.parse(await textOf(request));
    answer.writeHead(204).end();
    open.get(id)?.();
    open.delete(id);
  });
  await once(server.listen(socket), 'listening');
  const program = fileURLToPath(new URL('program/main.mjs', import.meta.url));
  const child = spawn(process.execPath, [program], {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, MORPHEO_RUNNER: socket },
  });
  await ready.promise;
  return {
    async call() {
      const { promise, resolve } = Promise.withResolvers<void>();
      const id = randomUUID();
      open.set(id, resolve);
      waiting.push(id);
      give();
      await promise;
    },
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
      server.closeAllConnections();
      server.close();
    },
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  return text;
}
