import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Ports } from './settings.ts';

/** Whose each port is, and the flag that chooses another. */
const OWNERS: readonly { readonly port: keyof Ports; readonly owner: string; readonly flag: string }[] = [
  { port: 'compute', owner: 'compute-api', flag: '--compute-port' },
  { port: 'storage', owner: 'storage-api', flag: '--storage-port' },
  { port: 'orchestrator', owner: 'the orchestrator', flag: '--orchestrator-port' },
  { port: 'shepherd', owner: 'shepherd', flag: '--shepherd-port' },
  { port: 'registry', owner: 'the registry', flag: '--registry-port' },
  { port: 'nsqadmin', owner: 'nsqadmin', flag: '--nsqadmin-port' },
];

/** Throws where another program has one of the ports on loopback: names each, and says what to do. */
export async function refuseTakenPorts(ports: Ports): Promise<void> {
  const taken: (typeof OWNERS)[number][] = [];
  for (const one of OWNERS) if (await isTaken(ports[one.port])) taken.push(one);
  if (taken.length === 0) return;
  const lines = taken.map(
    ({ port, owner }) => `Port ${ports[port]}, of ${owner}, is taken by another program.`,
  );
  const flags = taken.map(({ flag }) => `${flag} N`).join(' ');
  throw new Error(
    `${lines.join('\n')}\nNothing was started. Stop that program, which ss -ltnp shows, or choose another port:\n` +
      `  node packaging/src/dev/main.ts up ${flags}`,
  );
}

async function isTaken(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen({ host: '127.0.0.1', port }), 'listening');
    return false;
  } catch (error) {
    // Ports that this user may not have are the Docker daemon's to give.
    return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
  } finally {
    server.close();
  }
}
