import type { PostgresTarget } from '@morpheo/real-parts';
import { type Rate, rateOf } from '../bench.ts';
import { nextOrder } from './next-order.ts';

/** What is used of pg-boss, a queue of jobs on PostgreSQL. */
interface Boss {
  start(): Promise<unknown>;
  createQueue(name: string): Promise<void>;
  send(name: string, data: object): Promise<string | null>;
  stop(options: { readonly graceful: boolean }): Promise<void>;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

type BossClass = new (options: Readonly<Record<string, unknown>>) => Boss;

/** A name that no compiler looks for: where pg-boss is not installed its rows are left out, as those of other parts. */
const PACKAGE: string = 'pg-boss';
const QUEUE = 'orders';
/** As many connections as compute-api has at most. */
const CONNECTIONS = 10;

/** A peer under load. */
export interface Peer extends AsyncDisposable {
  /** Sends orders by so many callers for `ms` milliseconds, each committed before the next one of its caller. */
  send(how: { readonly callers: number; readonly ms: number }): Promise<Rate>;
}

/** Opens pg-boss on an empty database; undefined where it is not installed. */
export async function openPgBoss({
  host,
  port,
  database,
  user,
  password,
}: PostgresTarget): Promise<Peer | undefined> {
  const module: unknown = await import(PACKAGE).catch(() => undefined);
  if (module === undefined) return undefined;
  // The shape of version 12, which package.json names.
  const { PgBoss } = module as { readonly PgBoss: BossClass };
  const place = { host, port, database, user, password };
  const boss = new PgBoss({ ...place, max: CONNECTIONS, supervise: false, schedule: false });
  boss.on('error', () => undefined);
  await boss.start();
  await boss.createQueue(QUEUE);
  return {
    send: async (how) => await load(boss, how),
    [Symbol.asyncDispose]: async () => await boss.stop({ graceful: false }),
  };
}

async function load(
  boss: Boss,
  { callers, ms }: { readonly callers: number; readonly ms: number },
): Promise<Rate> {
  const send = async () => {
    const id = await boss.send(QUEUE, JSON.parse(nextOrder().body) as object);
    if (id === null) throw new Error('pg-boss took no job');
  };
  return await rateOf(
    Array.from({ length: callers }, () => send),
    ms,
  );
}
