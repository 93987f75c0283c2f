import { join } from 'node:path';
import { computeClient } from '@morpheo/client';
import { type OrderStatus, PAGE } from '@morpheo/common';
import type { BenchContext, BenchSize, Report } from '../bench.ts';
import { percentile, timed } from '../bench.ts';
import { startServer } from '../process/start-server.ts';
import { type PlainPage, timePlainPages } from './plain-query.ts';
import { type SeededOrder, seedOrders } from './seed-orders.ts';

interface Size {
  /** How many orders there are. */
  readonly counts: readonly number[];
  /** How often each page is asked for. */
  readonly times: number;
}

const SIZES: Readonly<Record<BenchSize, Size>> = {
  full: { counts: [100, 100_000], times: 400 },
  quick: { counts: [100, 100_000], times: 80 },
  tiny: { counts: [20, 300], times: 3 },
};

/** Rare enough that its orders are spread over many pages of all. */
const FILTER: OrderStatus = 'failed';

/** What a page takes of compute-api, among few and among many orders; every page holds the orders that it should. */
export async function listing({ folder, size, say }: BenchContext): Promise<Report> {
  const { counts, times } = SIZES[size];
  const found: Found[] = [];
  for (const count of counts) {
    say(`listing: ${count} orders`);
    found.push(...(await measure(join(folder, `${count}.db`), count, times)));
  }
  return {
    name: 'listing',
    title: `a page of ${PAGE.usual} orders over HTTP, beside the query for its rows on the database file`,
    rows: found.map(({ count, page, plain, ours }) => ({
      orders: count.toLocaleString('en'),
      page,
      'query p50 ms': percentile(plain, 0.5),
      'query p99 ms': percentile(plain, 0.99),
      'p50 ms': percentile(ours, 0.5),
      'p99 ms': percentile(ours, 0.99),
    })),
    aims: [],
    notes: [
      `Each figure is of ${times} calls, one after another. Every page was checked, order by order.`,
      'A page also tells how many orders fit in all, up to 10,000, which the query for its rows does not.',
    ],
    bars: found.flatMap(({ count, page, plain, ours }) => {
      const label = `${page}, ${count.toLocaleString('en')} orders`;
      return [
        { label: `query: ${label}`, value: percentile(plain, 0.5), unit: 'ms', plain: true },
        { label, value: percentile(ours, 0.5), unit: 'ms', plain: false },
      ];
    }),
  };
}

interface Found {
  readonly count: number;
  readonly page: string;
  readonly plain: readonly number[];
  readonly ours: readonly number[];
}

/** A page: the orders of a state, or all, newest first, after so many of them. */
interface Page {
  readonly name: string;
  readonly status?: OrderStatus;
  readonly skip: number;
}

async function measure(file: string, count: number, times: number): Promise<Found[]> {
  const newestFirst = (await seedOrders(file, count)).toReversed();
  const pages: readonly Page[] = [
    { name: 'the first', skip: 0 },
    { name: `the first of those ${FILTER}`, status: FILTER, skip: 0 },
    { name: 'one in the middle', skip: Math.floor(count / 2) },
  ];
  const plain = timePlainPages(
    file,
    pages.map((page) => plainOf(page, newestFirst)),
    times,
  );
  await using server = await startServer('compute', [file]);
  const found: Found[] = [];
  for (const [index, page] of pages.entries()) {
    const ours = await timePage(server.url, page, newestFirst, times);
    found.push({ count, page: page.name, plain: plain[index] ?? [], ours });
  }
  return found;
}

function plainOf({ status, skip }: Page, newestFirst: readonly SeededOrder[]): PlainPage {
  const before = newestFirst[skip - 1];
  if (status !== undefined) return { where: 'status = ?', values: [status] };
  if (before === undefined) return { where: 'true', values: [] };
  return { where: '(created_at, id) < (?, ?)', values: [before.created_at, before.id] };
}

/** Asks for a page again and again, once it is known to hold what it should. */
async function timePage(
  url: string,
  page: Page,
  newestFirst: readonly SeededOrder[],
  times: number,
): Promise<number[]> {
  const { status, skip } = page;
  const cursor = await cursorAfter(url, skip);
  const fitting = newestFirst.filter((order) => status === undefined || order.status === status);
  const { items, total, more } = await computeClient({ url }).listOrders({ query: { status, cursor } });
  const expected = fitting.slice(skip, skip + PAGE.usual).map(({ id }) => id);
  const isCounted = more === true ? fitting.length > total : fitting.length === total;
  if (!isCounted || items.map(({ id }) => id).join() !== expected.join()) {
    throw new Error(`The page "${page.name}" of ${newestFirst.length} orders holds others than it should`);
  }
  const search = new URLSearchParams({
    ...(status === undefined ? {} : { status }),
    ...(cursor === undefined ? {} : { cursor }),
  });
  const ask = async () => await (await fetch(`${url}/v1/orders?${search}`)).text();
  const taken: number[] = [];
  for (let time = -times / 4; time < times; time++) {
    const { ms } = await timed(ask);
    // The first quarter more only warms up.
    if (time >= 0) taken.push(ms);
  }
  return taken;
}

/** Turns pages until `count` orders lie behind, and returns the cursor there: undefined at the beginning. */
async function cursorAfter(url: string, count: number): Promise<string | undefined> {
  const compute = computeClient({ url });
  let cursor: string | undefined;
  for (let left = count; left > 0; ) {
    const { items, next } = await compute.listOrders({ query: { limit: Math.min(left, PAGE.most), cursor } });
    if (next === undefined) throw new Error(`The list ends ${left - items.length} orders too early`);
    left -= items.length;
    cursor = next;
  }
  return cursor;
}
