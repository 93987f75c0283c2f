import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect, type Socket } from 'node:net';
import { json } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { eventually } from '../../testing/index.ts';

/** A service that may open so many files and connections, with what it has logged. */
function startLimited(limit: number) {
  const path = fileURLToPath(new URL('descriptors.fixture.ts', import.meta.url));
  const command = `ulimit -n ${limit}; exec "$0" "$1"`;
  const child = spawn('bash', ['-c', command, process.execPath, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (piece: Buffer) => {
    output += piece;
  });
  return {
    output: () => output,
    async [Symbol.asyncDispose]() {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}

test('A process without file descriptors says so in its log and at /ready', async (t) => {
  await using service = startLimited(80);
  await eventually(t, (t) => t.regex(service.output(), /"url":"http/));
  const url = /"url":"([^"]+)"/.exec(service.output())?.[1] ?? '';
  // New connections are closed unanswered: whoever watches the service has one.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ready = async () => {
    const [response] = await once(get(`${url}/ready`, { agent }), 'response');
    return { status: response.statusCode, body: await json(response) };
  };
  t.is((await ready()).status, 200);
  const sockets: Socket[] = Array.from({ length: 120 }, () => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    return socket.on('error', () => undefined);
  });
  await eventually(t, (t) =>
    t.regex(service.output(), /may open no more files and connections.*EMFILE|EMFILE.*may open/),
  );
  t.like(await ready(), {
    status: 503,
    body: { dependencies: [{ name: 'open files', ok: false }] },
  });
  for (const socket of sockets) socket.destroy();
  await eventually(t, async (t) => {
    const { status, body } = await ready();
    t.is(status, 200);
    t.regex(JSON.stringify(body), /s ago: This process may open no more files/);
  });
  await eventually(t, (t) => t.regex(service.output(), /can be opened again/));
  t.is(service.output().match(/may open no more/g)?.length, 1, 'it is told once');
  agent.destroy();
});
