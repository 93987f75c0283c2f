import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { computeClient } from '@morpheo/client';
import { startNsqd, startPostgres, type TestDatabase } from '@morpheo/real-parts';
import type { DatabasePlace } from '@morpheo/service/database';
import { type BenchContext, type BenchSize, median, percentile, type Report } from '../bench.ts';
import { load } from '../orders/load.ts';
import { round } from '../orders/rounds.ts';
import { type ServerProcess, startServer } from '../process/start-server.ts';
import { takePlainly } from './plain-claims.ts';
import { attemptsIn, type QueueSize, seedQueue } from './seed-queue.ts';

interface Size {
  readonly owners: readonly number[];
  readonly workers: readonly number[];
  readonly due: number;
  /** Orders that have ended: all runs are made among few, and the last among so many. */
  readonly ended: number;
  /** How many workers claim while orders come in. */
  readonly crowd: number;
  readonly rounds: number;
  readonly ms: number;
}

const SIZES: Readonly<Record<BenchSize, Size>> = {
  full: {
    ...{ owners: [1, 10, 100, 1000], workers: [1, 16, 64], due: 100_000, ended: 1_000_000 },
    ...{ crowd: 1000, rounds: 3, ms: 3000 },
  },
  quick: {
    ...{ owners: [1, 10, 100, 1000], workers: [1, 16, 64], due: 30_000, ended: 100_000 },
    ...{ crowd: 1000, rounds: 2, ms: 1000 },
  },
  tiny: { owners: [1, 3], workers: [2], due: 2000, ended: 10, crowd: 4, rounds: 1, ms: 100 },
};

interface Claimed {
  readonly claims: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly cpuMicros: number;
}

interface Line {
  readonly engine: string;
  readonly owners: number;
  readonly workers: number;
  readonly of: Omit<Claimed, 'claims' | 'cpuMicros'> & { readonly cpuMicros?: number };
}

/** How many due orders compute-api hands out in a second, by how many owners have some, beside the bare statement. */
export async function claims({ folder, size, say }: BenchContext): Promise<Report> {
  const { owners, workers, due, ended, crowd, ms } = SIZES[size];
  await using postgres = await startPostgres();
  await using nsqd = await startNsqd();
  const lines: Line[] = [];
  const intake: { alone: number; beside: number }[] = [];
  for (const [n, count] of [...owners, owners.at(-1) ?? 1].entries()) {
    const isLast = n === owners.length;
    const queue: QueueSize = { due, owners: count, ended: isLast ? ended : 10 };
    say(`claims: ${count} owners, ${queue.ended} orders have ended`);
    await using database = await postgres.createDatabase();
    const file = join(folder, `${n}.db`);
    const among = isLast ? `, ${ended.toLocaleString('en')} ended` : '';
    for (const [engine, target, args] of [
      ['SQLite', { engine: 'sqlite', file }, [file]],
      [
        'PostgreSQL',
        { engine: 'postgres', address: addressOf(database) },
        [JSON.stringify(addressOf(database)), nsqd.tcp],
      ],
    ] as const) {
      await seedQueue(target, queue);
      let claimed = 0;
      {
        await using server = await startServer('compute', args);
        for (const some of workers) {
          const { found, total } = await claimRounds(server, some, SIZES[size]);
          claimed += total;
          lines.push({ engine: `${engine}${among}`, owners: count, workers: some, of: found });
        }
        if (engine === 'SQLite' && n === 0) {
          const beside = await takeInBeside(server, crowd, ms);
          claimed += beside.claims;
          intake.push(beside);
        }
      }
      await requireAttempts(target, claimed);
    }
    if (n > 0) continue;
    for (const some of workers) {
      const plain = await takePlainly(database, { connections: some, ms });
      lines.push({ engine: 'bare statement on PostgreSQL', owners: count, workers: some, of: plain });
    }
  }
  return reportOf(lines, intake, crowd);
}

function addressOf({ host, port, database, user, password }: TestDatabase) {
  return { host, port, database, user, password };
}

async function claimRounds(
  server: ServerProcess,
  workers: number,
  { rounds, ms }: Pick<Size, 'rounds' | 'ms'>,
) {
  const ids = await register(server, workers);
  const found: Claimed[] = [];
  for (let n = 0; n < rounds; n++) found.push(await claim(server, ids, ms));
  const middle = (of: (one: Claimed) => number) => median(found.map(of));
  return {
    total: found.reduce((sum, one) => sum + one.claims, 0),
    found: {
      perSecond: middle((one) => one.perSecond),
      p50: middle((one) => one.p50),
      p99: middle((one) => one.p99),
      cpuMicros: middle((one) => one.cpuMicros),
    },
  };
}

interface Registered {
  readonly worker: string;
  readonly boot: string;
}

async function register({ url }: ServerProcess, count: number): Promise<Registered[]> {
  const compute = computeClient({ url });
  const workers = Array.from({ length: count }, () => ({ worker: randomUUID(), boot: randomUUID() }));
  for (const { worker, boot } of workers) {
    const body = { boot, name: 'bench', runtime: 'none', slots: { learn: 1, predict: 1 } };
    await compute.registerWorker({ params: { worker }, body });
  }
  return workers;
}

/** Each worker claims one order after another; every claim gets one. */
async function claim(server: ServerProcess, workers: readonly Registered[], ms: number): Promise<Claimed> {
  const before = await server.usage();
  const found = await claimAll(server.url, workers, ms);
  const after = await server.usage();
  return { ...found, cpuMicros: ((after.cpuSeconds - before.cpuSeconds) * 1e6) / found.claims };
}

async function claimAll(url: string, workers: readonly Registered[], ms: number) {
  const loads = await Promise.all(
    workers.map(async ({ worker, boot }) => {
      const body = JSON.stringify({ boot, kinds: ['learn', 'predict'] });
      const path = `/v1/workers/${worker}/claim`;
      return await load({
        ...{ url, path, callers: 1, ms, status: 200 },
        next: () => ({ id: worker, body }),
      });
    }),
  );
  const latencies = loads.flatMap((one) => one.latencies);
  return {
    claims: latencies.length,
    perSecond: latencies.length / Math.max(...loads.map(({ seconds }) => seconds)),
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
  };
}

async function takeInBeside(server: ServerProcess, crowd: number, ms: number) {
  const workers = await register(server, crowd);
  const how = { callers: 16, ms };
  const { perSecond: alone } = await round(server, how);
  const [beside, { claims: count, perSecond }] = await Promise.all([
    round(server, how),
    claimAll(server.url, workers, ms),
  ]);
  return { alone, beside: beside.perSecond, p99: beside.p99, claims: count, claimsPerSecond: perSecond };
}

async function requireAttempts(target: DatabasePlace, claimed: number): Promise<void> {
  const attempts = await attemptsIn(target);
  if (attempts !== claimed)
    throw new Error(`${claimed} claims got an order, and there are ${attempts} attempts`);
}

function reportOf(
  lines: readonly Line[],
  intake: readonly { readonly alone: number; readonly beside: number }[],
  crowd: number,
): Report {
  const most = Math.max(...lines.map(({ workers }) => workers));
  const ofSqlite = lines.filter(({ engine, workers }) => engine.startsWith('SQLite') && workers === most);
  const kept = intake.map(({ alone, beside }) => beside / alone);
  return {
    name: 'claims',
    title:
      'due orders that workers claim in a second, each durable before its answer, by how many owners have some',
    rows: [
      ...lines.map(({ engine, owners, workers, of }) => ({
        engine,
        owners: String(owners),
        workers: String(workers),
        'claims/s': of.perSecond,
        'p50 ms': of.p50,
        'p99 ms': of.p99,
        'CPU µs': of.cpuMicros ?? '',
      })),
    ],
    aims: [
      {
        what: `claims/s on SQLite by ${most} workers, with any number of owners`,
        measured: Math.min(...ofSqlite.map(({ of }) => of.perSecond)),
        least: 1000,
      },
      {
        what: `orders taken in beside ${crowd} workers that claim all the time, as a part of what is taken in alone`,
        measured: Math.min(...kept),
        least: 0.5,
      },
    ],
    notes: [
      'Each worker claims one order at a time, and claims the next at once. Each claim got an order, and each has one attempt.',
      'The bare statement updates the first due row that nobody else has locked, one to a commit, by as many connections as there are workers, without owners, needs, attempts or history.',
      'CPU µs is what the process of compute-api takes for one claim; PostgreSQL takes its own.',
    ],
    bars: lines
      .filter(({ workers }) => workers === most)
      .map(({ engine, owners, of }) => ({
        label: `${engine}, ${owners} owners`,
        value: of.perSecond,
        unit: 'claims/s',
        plain: engine.startsWith('bare'),
      })),
  };
}
