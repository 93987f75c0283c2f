import { once } from 'node:events';
import { createServer } from 'node:net';

// Below what the kernel gives to whoever asks for any port: there, a port is somebody else's before its killed server
// is started again. Chosen at random, so that tests at once rarely want the same.
const FIRST = 15_000;
const LAST = 32_000;
const given = new Set<number>();

/** So many ports of 127.0.0.1 that are free now, and stay so for whoever stops and starts again; each is given once. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

/** One of {@link freePorts}. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port), 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
