import { join } from 'node:path';
import { startNsqd, startPostgres, type TestDatabase } from '@morpheo/real-parts';
import type { BenchContext, BenchSize, Report } from '../bench.ts';
import { median } from '../bench.ts';
import { startServer } from '../process/start-server.ts';
import { type Inserted, insertPlainly, makeTables } from './plain-inserts.ts';
import { type Round, requireListed, round, type Summary, summary } from './rounds.ts';

interface Size {
  readonly callers: readonly number[];
  /** All three are loaded in turns, so that they meet the same disturbances. */
  readonly rounds: number;
  readonly ms: number;
}

const SIZES: Readonly<Record<BenchSize, Size>> = {
  full: { callers: [1, 16, 64], rounds: 4, ms: 3000 },
  quick: { callers: [1, 16, 64], rounds: 2, ms: 1000 },
  tiny: { callers: [2], rounds: 1, ms: 150 },
};

const TITLE =
  'learn orders taken in a second on PostgreSQL and NSQ, beside the bare insert and the embedded parts';

interface Found {
  readonly callers: number;
  readonly plain: Inserted;
  readonly parts: Summary;
  readonly embedded: Summary;
}

/** Orders that compute-api takes in a second on a team's parts; afterwards each of them is in its list. */
export async function ordersOnPostgres({ folder, size, say }: BenchContext): Promise<Report> {
  const { callers, rounds, ms } = SIZES[size];
  await using postgres = await startPostgres();
  await using nsqd = await startNsqd();
  await using bare = await postgres.createDatabase();
  await makeTables(bare);
  await using database = await postgres.createDatabase();
  await using onParts = await startServer('compute', [JSON.stringify(addressOf(database)), nsqd.tcp]);
  await using embedded = await startServer('compute', [join(folder, 'compute.db')]);
  const how = { callers: 4, ms: ms / 2 };
  const taken = { parts: [await round(onParts, how)], embedded: [await round(embedded, how)] };
  await insertPlainly(bare, { connections: 4, ms: ms / 2 });
  const found: Found[] = [];
  for (const count of callers) {
    say(`orders-on-postgres: ${count} callers`);
    const turns = { plain: [] as Inserted[], parts: [] as Round[], embedded: [] as Round[] };
    for (let turn = 0; turn < rounds; turn++) {
      turns.plain.push(await insertPlainly(bare, { connections: count, ms }));
      turns.parts.push(await round(onParts, { callers: count, ms }));
      turns.embedded.push(await round(embedded, { callers: count, ms }));
    }
    taken.parts.push(...turns.parts);
    taken.embedded.push(...turns.embedded);
    const middle = { parts: summary(turns.parts), embedded: summary(turns.embedded) };
    found.push({ callers: count, plain: middleOf(turns.plain), ...middle });
  }
  const accepted = taken.parts.flatMap((one) => one.accepted);
  say(`orders-on-postgres: looking for ${accepted.length} orders in the list`);
  await requireListed(onParts.url, accepted);
  await requireListed(
    embedded.url,
    taken.embedded.flatMap((one) => one.accepted),
  );
  return reportOf(found, accepted.length);
}

function addressOf({ host, port, database, user, password }: TestDatabase) {
  return { host, port, database, user, password };
}

function middleOf(rounds: readonly Inserted[]): Inserted {
  const middle = (of: (one: Inserted) => number) => median(rounds.map(of));
  return {
    perSecond: middle((one) => one.perSecond),
    p50: middle((one) => one.p50),
    p99: middle((one) => one.p99),
  };
}

function reportOf(found: readonly Found[], accepted: number): Report {
  const lines = found.flatMap(({ callers, plain, parts, embedded }) => [
    { callers, route: 'bare insert', of: { ...plain, cpuMicros: undefined }, ratio: 1 },
    { callers, route: 'PostgreSQL and NSQ', of: parts, ratio: parts.perSecond / plain.perSecond },
    { callers, route: 'embedded', of: embedded, ratio: embedded.perSecond / plain.perSecond },
  ]);
  return {
    name: 'orders-on-postgres',
    title: TITLE,
    rows: lines.map(({ callers, route, of, ratio }) => ({
      callers: String(callers),
      route,
      'orders/s': of.perSecond,
      'p50 ms': of.p50,
      'p99 ms': of.p99,
      'CPU µs': of.cpuMicros ?? '',
      ratio,
    })),
    aims: [],
    notes: [
      `All ${accepted.toLocaleString('en')} orders that were accepted on PostgreSQL are in the list afterwards.`,
      'The bare insert: the same rows into the same tables of the same server, a statement and a commit for each order, by as many connections as there are callers; compute-api has ten connections at most.',
      'Each order is announced on NSQ after its commit. Embedded: SQLite, and a queue in the process.',
      'CPU µs is what the process of compute-api takes for one order; PostgreSQL takes its own.',
    ],
    bars: lines.map(({ callers, route, of }) => ({
      label: `${route}, ${callers} callers`,
      value: of.perSecond,
      unit: 'orders/s',
      plain: route === 'bare insert',
    })),
  };
}
