import { join } from 'node:path';
import { startNsqd, startPostgres, type TestDatabase } from '@morpheo/real-parts';
import { type BenchContext, type BenchSize, median, type Rate, type Report } from '../bench.ts';
import { startServer } from '../process/start-server.ts';
import { batchRound } from './batches.ts';
import { openPgBoss } from './pg-boss.ts';
import { insertPlainly, makeTables } from './plain-inserts.ts';
import { type Round, requireListed, round, type Summary, summary } from './rounds.ts';

interface Size {
  readonly callers: readonly number[];
  /** All are loaded in turns, so that they meet the same disturbances. */
  readonly rounds: number;
  readonly ms: number;
  /** How many orders a batch has. */
  readonly batch: number;
}

const SIZES: Readonly<Record<BenchSize, Size>> = {
  full: { callers: [1, 16, 64], rounds: 4, ms: 3000, batch: 10_000 },
  quick: { callers: [1, 16, 64], rounds: 2, ms: 1000, batch: 5000 },
  tiny: { callers: [2], rounds: 1, ms: 150, batch: 100 },
};

const TITLE =
  'learn orders taken in a second on PostgreSQL and NSQ, beside the bare insert and the embedded parts';

interface Found {
  readonly callers: number;
  readonly plain: Rate;
  readonly boss: Rate | undefined;
  readonly parts: Summary;
  readonly embedded: Summary;
}

/** At 64 callers, of the rate of the bare insert; and what one caller waits. */
const AIM = { callers: 64, share: 1.5, aloneMs: 1.5 };

/** Orders that compute-api takes in a second on a team's parts; afterwards each of them is in its list. */
export async function ordersOnPostgres({ folder, size, say }: BenchContext): Promise<Report> {
  const { callers, rounds, ms, batch } = SIZES[size];
  await using postgres = await startPostgres();
  await using nsqd = await startNsqd();
  await using bare = await postgres.createDatabase();
  await makeTables(bare);
  await using peers = await postgres.createDatabase();
  await using pgBoss = await openPgBoss(peers);
  if (pgBoss === undefined) say('SKIPPED pg-boss: it is not installed');
  await using database = await postgres.createDatabase();
  await using onParts = await startServer('compute', [JSON.stringify(addressOf(database)), nsqd.tcp]);
  await using embedded = await startServer('compute', [join(folder, 'compute.db')]);
  const how = { callers: 4, ms: ms / 2 };
  const taken = { parts: [await round(onParts, how)], embedded: [await round(embedded, how)] };
  await insertPlainly(bare, { connections: 4, ms: ms / 2 });
  const found: Found[] = [];
  for (const count of callers) {
    say(`orders-on-postgres: ${count} callers`);
    const turns = {
      plain: [] as Rate[],
      boss: [] as Rate[],
      parts: [] as Round[],
      embedded: [] as Round[],
    };
    for (let turn = 0; turn < rounds; turn++) {
      turns.plain.push(await insertPlainly(bare, { connections: count, ms }));
      if (pgBoss !== undefined) turns.boss.push(await pgBoss.send({ callers: count, ms }));
      turns.parts.push(await round(onParts, { callers: count, ms }));
      turns.embedded.push(await round(embedded, { callers: count, ms }));
    }
    taken.parts.push(...turns.parts);
    taken.embedded.push(...turns.embedded);
    const middle = { parts: summary(turns.parts), embedded: summary(turns.embedded) };
    const boss = turns.boss.length === 0 ? undefined : middleOf(turns.boss);
    found.push({ callers: count, plain: middleOf(turns.plain), boss, ...middle });
  }
  say(`orders-on-postgres: batches of ${batch}`);
  const batches: Round[] = [];
  for (let turn = 0; turn < rounds; turn++)
    batches.push(await batchRound(onParts, { batches: 1, orders: batch }));
  taken.parts.push(...batches);
  const accepted = taken.parts.flatMap((one) => one.accepted);
  say(`orders-on-postgres: looking for ${accepted.length} orders in the list`);
  await requireListed(onParts.url, accepted);
  await requireListed(
    embedded.url,
    taken.embedded.flatMap((one) => one.accepted),
  );
  return reportOf(found, { orders: batch, of: summary(batches) }, accepted.length);
}

function addressOf({ host, port, database, user, password }: TestDatabase) {
  return { host, port, database, user, password };
}

function middleOf(rounds: readonly Rate[]): Rate {
  const middle = (of: (one: Rate) => number) => median(rounds.map(of));
  return {
    perSecond: middle((one) => one.perSecond),
    p50: middle((one) => one.p50),
    p99: middle((one) => one.p99),
  };
}

function reportOf(
  found: readonly Found[],
  batches: { readonly orders: number; readonly of: Summary },
  accepted: number,
): Report {
  const lines = found.flatMap(({ callers, plain, boss, parts, embedded }) => [
    { callers, route: 'bare insert', of: { ...plain, cpuMicros: undefined }, ratio: 1 },
    ...(boss === undefined
      ? []
      : [
          {
            callers,
            route: 'pg-boss',
            of: { ...boss, cpuMicros: undefined },
            ratio: boss.perSecond / plain.perSecond,
          },
        ]),
    { callers, route: 'PostgreSQL and NSQ', of: parts, ratio: parts.perSecond / plain.perSecond },
    { callers, route: 'embedded', of: embedded, ratio: embedded.perSecond / plain.perSecond },
  ]);
  const inBatches = `batches of ${batches.orders.toLocaleString('en')}`;
  lines.push({
    callers: 1,
    route: inBatches,
    of: batches.of,
    ratio: batches.of.perSecond / (found.at(-1)?.plain.perSecond ?? 1),
  });
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
    aims: found.flatMap(({ callers, plain, boss, parts }) => [
      ...(callers === AIM.callers
        ? [
            {
              what: `share of the bare insert's rate at ${callers} callers`,
              measured: parts.perSecond / plain.perSecond,
              least: AIM.share,
            },
          ]
        : []),
      ...(callers === AIM.callers && boss !== undefined
        ? [
            {
              what: `share of pg-boss's rate at ${callers} callers`,
              measured: parts.perSecond / boss.perSecond,
              least: 1,
            },
          ]
        : []),
      ...(callers === 1
        ? [{ what: 'p50 of one caller, in milliseconds', measured: parts.p50, most: AIM.aloneMs }]
        : []),
    ]),
    notes: [
      `All ${accepted.toLocaleString('en')} orders that were accepted on PostgreSQL are in the list afterwards.`,
      'The bare insert: the same rows into the same tables of the same server, a statement and a commit for each order, by as many connections as there are callers; compute-api has ten connections at most.',
      ...(found.some(({ boss }) => boss !== undefined)
        ? [
            'pg-boss 12.35: a send for each order, by as many callers and ten connections, in the process that measures.',
          ]
        : []),
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
