import { join } from 'node:path';
import type { BenchContext, BenchSize, Report } from '../bench.ts';
import { startServer } from '../process/start-server.ts';
import { batchRound } from './batches.ts';
import { commitsPerSecond, rowsPerSecond } from './limits.ts';
import { nextOrder } from './next-order.ts';
import { type Round, requireListed, round, type Summary, summary } from './rounds.ts';

interface Size {
  readonly callers: readonly number[];
  /** The two servers are loaded in turns, so that both meet the same disturbances. */
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

const TITLE = 'learn orders taken in a second, each on disk before its 202, beside a bare koa route';
/** Of the bare route's rate, with as many callers as an orchestrator under load has; and orders a second in batches. */
const AIM = { callers: 64, share: 0.5, inBatches: 25_000, aloneMs: 1 };

/** Orders that compute-api takes in a second; afterwards each of them is in its list. */
export async function ordersAccepted({ folder, size, say }: BenchContext): Promise<Report> {
  const { callers, rounds, ms, batch } = SIZES[size];
  const commits = commitsPerSecond(join(folder, 'disk-limit'), ms);
  const rows = await rowsPerSecond(join(folder, 'database-limit.db'), ms, () => nextOrder().body);
  await using bare = await startServer('bare', []);
  await using compute = await startServer('compute', [join(folder, 'compute.db')]);
  await round(bare, { callers: 4, ms: ms / 2 });
  const accepted = (await round(compute, { callers: 4, ms: ms / 2 })).accepted.slice();
  const found: Found[] = [];
  for (const count of callers) {
    say(`orders-accepted: ${count} callers`);
    const plain: Round[] = [];
    const ours: Round[] = [];
    for (let turn = 0; turn < rounds; turn++) {
      plain.push(await round(bare, { callers: count, ms }));
      ours.push(await round(compute, { callers: count, ms }));
    }
    accepted.push(...ours.flatMap((one) => one.accepted));
    found.push({ callers: count, plain: summary(plain), ours: summary(ours) });
  }
  say(`orders-accepted: batches of ${batch}`);
  const batches: Round[] = [];
  for (let turn = 0; turn < rounds; turn++)
    batches.push(await batchRound(compute, { batches: 1, orders: batch }));
  accepted.push(...batches.flatMap((one) => one.accepted));
  say(`orders-accepted: looking for ${accepted.length} orders in the list`);
  await requireListed(compute.url, accepted);
  return reportOf(found, { orders: batch, of: summary(batches) }, [
    `All ${accepted.length.toLocaleString('en')} orders that were accepted are in the list afterwards.`,
    `The embedded database alone, 64 orders to a commit: ${Math.round(rows).toLocaleString('en')} orders in a second.`,
    `The disk alone: ${Math.round(commits).toLocaleString('en')} appends of 4 KiB in a second, each synced.`,
    'CPU µs is what the server process takes for one order; on a busy machine it varies less than the rates do.',
  ]);
}

interface Found {
  readonly callers: number;
  readonly plain: Summary;
  readonly ours: Summary;
}

interface Batches {
  readonly orders: number;
  readonly of: Summary;
}

function reportOf(found: readonly Found[], batches: Batches, notes: readonly string[]): Report {
  const line = (route: string, callers: number, of: Summary, ratio: number) => ({
    callers: String(callers),
    route,
    'orders/s': of.perSecond,
    'p50 ms': of.p50,
    'p99 ms': of.p99,
    'CPU µs': of.cpuMicros,
    ratio,
  });
  const rows = found.flatMap(({ callers, plain, ours }) => [
    line('bare koa', callers, plain, 1),
    line('compute-api', callers, ours, ours.perSecond / plain.perSecond),
  ]);
  rows.push(
    line(
      `batches of ${batches.orders.toLocaleString('en')}`,
      1,
      batches.of,
      batches.of.perSecond / (found.at(-1)?.plain.perSecond ?? 1),
    ),
  );
  const aimed = found.filter(({ callers }) => callers === AIM.callers);
  const alone = found.filter(({ callers }) => callers === 1);
  return {
    name: 'orders-accepted',
    title: TITLE,
    rows,
    aims: [
      ...aimed.map(({ plain, ours }) => ({
        what: `share of the bare route's rate at ${AIM.callers} callers`,
        measured: ours.perSecond / plain.perSecond,
        least: AIM.share,
      })),
      ...alone.flatMap(({ ours }) => [
        { what: 'p50 of one caller, in milliseconds', measured: ours.p50, most: AIM.aloneMs },
        { what: 'p99 of one caller, in times its p50', measured: ours.p99 / ours.p50, most: 5 },
      ]),
      { what: 'orders a second in batches', measured: batches.of.perSecond, least: AIM.inBatches },
    ],
    notes,
    bars: found.flatMap(({ callers, plain, ours }) => [
      { label: `bare koa, ${callers} callers`, value: plain.perSecond, unit: 'orders/s', plain: true },
      { label: `compute-api, ${callers} callers`, value: ours.perSecond, unit: 'orders/s', plain: false },
    ]),
  };
}
