import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A program that keeps the contract of runners, with nothing around it but the socket that it is spoken to by. */
export interface BareRunner extends AsyncDisposable {
  /** Has the program answer one call, which finds its inputs and leaves its outputs there: folders, or nothing. */
  call(places?: Places): Promise<void>;
}

/** Where a call finds its inputs, and leaves its outputs. */
export interface Places {
  readonly inputs: string;
  readonly outputs: string;
}

/** A program to start: the one that does nothing where absent. */
export interface BareProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

const NOTHING: BareProgram = {
  command: process.execPath,
  args: [fileURLToPath(new URL('program/main.mjs', import.meta.url))],
};

/** Starts a program as a plain process; `folder` is for the socket. Resolves when it asks for its first call. */
export async function startBareRunner(
  folder: string,
  { command, args, env }: BareProgram = NOTHING,
): Promise<BareRunner> {
  const socket = join(folder, 'bare.sock');
  const ready = Promise.withResolvers<void>();
  const open = new Map<string, () => void>();
  const waiting: (Places & { readonly id: string })[] = [];
  let asking: ServerResponse | undefined;
  const give = () => {
    if (asking === undefined || waiting.length === 0) return;
    const calls = waiting.splice(0, 16);
    asking.end(JSON.stringify({ calls }));
    asking = undefined;
  };
  const server = createServer(async (request, answer) => {
    if (request.method === 'GET') {
      asking = answer;
      ready.resolve();
      return give();
    }
    const { id, ok, message } = JSON.parse(await textOf(request));
    if (ok !== true) throw new Error(`The bare program says: ${message}`);
    answer.writeHead(204).end();
    open.get(id)?.();
    open.delete(id);
  });
  await once(server.listen(socket), 'listening');
  const child = spawn(command, args, {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, ...env, MORPHEO_RUNNER: socket },
  });
  await ready.promise;
  return {
    async call(places = { inputs: '', outputs: '' }) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const id = randomUUID();
      open.set(id, resolve);
      waiting.push({ id, ...places });
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
