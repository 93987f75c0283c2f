import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts, randomFrom } from '@morpheo/real-parts';
import test from 'ava';
import { KillablePlatform } from '../testing/killable-platform.ts';
import { basic } from '../testing/services-with-roles.ts';
import { hostileRequest } from './hostile-requests.ts';

const REQUESTS = Number(process.env.REQUESTS ?? 5000);
const SEED = Number(process.env.SEED ?? 20_261_122);
/** Before the memory is looked at: a process that has never answered grows anyway. */
const WARM_UP = 10_000;
/** What leaks grows in each of so many rounds; what waits for the garbage collector does not. */
const ROUNDS = 3;
const MOST_GROWTH_MIB = 50;
const AT_ONCE = 20;
const MIB = 1024 ** 2;

test.serial('Thousands of hostile requests bring no unexpected 5xx, no crash and no growth', async (t) => {
  t.timeout(300_000);
  t.log(`SEED=${SEED}`);
  await using platform = await openPlatform();
  const random = randomFrom(SEED).next;
  const authorization = basic(platform.credentials.name, platform.credentials.secret);
  const draw = (count: number) =>
    Array.from({ length: count }, () => ({
      port: platform.ports[Math.floor(random() * platform.ports.length)] ?? 0,
      bytes: hostileRequest(random, authorization),
    }));
  await send(draw(WARM_UP));
  const growths: number[] = [];
  while (growths.length < ROUNDS && growths.every((growth) => growth >= MOST_GROWTH_MIB)) {
    const before = await platform.residentBytes();
    const statuses = await send(draw(REQUESTS));
    growths.push(((await platform.residentBytes()) - before) / MIB);
    const counts = countOf(statuses);
    t.log(JSON.stringify(Object.fromEntries(counts)));
    t.deepEqual(
      [...counts.keys()].filter((status) => status >= 500 && status !== 503),
      [],
    );
    t.true((counts.get(400) ?? 0) > 100, 'the requests get as far as being read');
  }
  const grown = `${REQUESTS} requests, memory grew by ${growths.map((one) => one.toFixed(0)).join(', ')} MiB`;
  t.log(grown);
  t.true(
    growths.some((growth) => growth < MOST_GROWTH_MIB),
    grown,
  );
  await platform.answers();
});

test.serial('Callers who never finish their request keep nobody else waiting', async (t) => {
  t.timeout(300_000);
  await using platform = await openPlatform();
  const slow = await Promise.all(
    Array.from({ length: 600 }, async (_, index) => {
      const socket = connect(platform.ports[index % platform.ports.length] ?? 0, '127.0.0.1');
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      socket.write(
        index % 2 === 0
          ? 'GET /health HT'
          : 'POST /learn HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{',
      );
      return socket;
    }),
  );
  const from = performance.now();
  await platform.answers();
  t.log(`answered beside ${slow.length} unfinished requests in ${(performance.now() - from).toFixed(0)} ms`);
  t.true(performance.now() - from < 5000);
  for (const socket of slow) socket.destroy();
});

async function openPlatform() {
  await using stack = new AsyncDisposableStack();
  const home = await mkdtemp(join(tmpdir(), 'morpheo-hostile-'));
  stack.defer(async () => await rm(home, { recursive: true, force: true }));
  const [storage = 0, compute = 0, orchestrator = 0] = await freePorts(3);
  const platform = stack.use(new KillablePlatform(home, { storage, compute, orchestrator }));
  await platform.start();
  const { credentials } = await platform.connection();
  const ports = [storage, compute, orchestrator];
  const opened = stack.move();
  return {
    ports,
    credentials,
    async answers(): Promise<void> {
      for (const port of ports) await (await fetch(`http://127.0.0.1:${port}/health`)).text();
    },
    async residentBytes(): Promise<number> {
      const status = await readFile(`/proc/${platform.pid}/status`, 'utf8');
      return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

interface Sent {
  readonly port: number;
  readonly bytes: Buffer;
}

/** The status lines that come back: one per request, 0 where the connection was cut or nothing came. */
async function send(requests: readonly Sent[]): Promise<number[]> {
  const statuses: number[] = [];
  const queue = requests.values();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const request of queue) statuses.push(await statusOf(request));
    }),
  );
  return statuses;
}

async function statusOf({ port, bytes }: Sent): Promise<number> {
  const socket: Socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  // What is cut off waits for its end; nobody waits for it here.
  socket.setTimeout(300, () => socket.destroy());
  socket.end(bytes);
  let answer = '';
  socket.on('data', (chunk: Buffer) => {
    answer += answer.length < 1000 ? chunk.toString('latin1') : '';
  });
  // Not `once`, which rejects at an error: a connection that is reset is an answer like any other.
  await new Promise((resolve) => socket.on('close', resolve));
  return Number(/^HTTP\/1\.[01] (\d{3})/.exec(answer)?.[1] ?? 0);
}

function countOf(statuses: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const status of statuses.toSorted()) counts.set(status, (counts.get(status) ?? 0) + 1);
  return counts;
}
