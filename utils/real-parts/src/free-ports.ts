import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

// Below what the kernel gives to whoever asks for any port: there, a port is somebody else's before its killed server
// is started again. Chosen at random, so that tests at once rarely want the same; where they do, one has it.
const FIRST = 15_000;
const LAST = 32_000;

/**
 * So many ports of 127.0.0.1 that are free now, and stay so for whoever stops and starts again: each is given once on
 * this machine while this thread lives.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

/** One of {@link freePorts}. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if (await isMine(port)) return port;
  }
}

const mine = new Set<number>();

/** Whether a port is free and nobody's, which makes it this thread's own. */
async function isMine(port: number): Promise<boolean> {
  if (mine.has(port)) return false;
  mine.add(port);
  // A name that the kernel forgets with this thread, as nothing else tells others of a port whose server is down.
  const note = process.platform === 'linux' ? await listening(`\0morpheo-test-port-${port}`) : undefined;
  if (note === null) return false;
  const server = await listening(port);
  if (server === null) note?.close();
  else server.close();
  note?.unref();
  return server !== null;
}

async function listening(at: string | number): Promise<Server | null> {
  const server = createServer();
  try {
    await once(server.listen(at), 'listening');
    return server;
  } catch {
    return null;
  }
}
