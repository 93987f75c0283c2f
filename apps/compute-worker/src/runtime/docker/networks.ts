import { z } from 'zod';
import type { Daemon } from './client/daemon.ts';

const networks = z.array(z.object({ Name: z.string(), Driver: z.string() }));

/** What every daemon has: nothing, and its own interfaces, which the loopback may be alone. */
const OF_EVERY_DAEMON = ['null', 'host'];
const SHOWN = 3;

/**
 * A sentence for whoever runs the worker where a daemon has networks, such as Docker's usual bridge; undefined where it has
 * none. No container of ours joins one, but code that got out of its container would find the way open.
 */
export async function networkWarning(daemon: Daemon, signal: AbortSignal): Promise<string | undefined> {
  const all = networks.parse(await daemon.get('list its networks', '/networks', { signal }));
  const names = all.filter(({ Driver }) => !OF_EVERY_DAEMON.includes(Driver)).map(({ Name }) => Name);
  if (names.length === 0) return undefined;
  const shown = [...names.toSorted().slice(0, SHOWN), ...(names.length > SHOWN ? ['others'] : [])].join(', ');
  return (
    `The Docker daemon has a network (${shown}): containers of orders never join it, but code that escaped from one ` +
    'could use it. Better use a daemon without: utils/dind-daemon, or dockerd --bridge=none.'
  );
}
