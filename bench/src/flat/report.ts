import type { Aim, Report } from '../bench.ts';
import { formatValue } from '../report.ts';
import type { Beside } from './intake-beside.ts';
import type { AtRest } from './platform-at-rest.ts';
import { isList, MOST_MS } from './read-cases.ts';
import type { Taken } from './time-reads.ts';

/** What a read took at each size, the smallest first. */
export interface Found {
  readonly engine: string;
  readonly service: string;
  readonly name: string;
  readonly taken: readonly Taken[];
}

/** How long a service took until it listened. */
export interface Started {
  readonly engine: string;
  readonly service: string;
  readonly count: number;
  readonly ms: number;
}

/** All that was measured. */
export interface FlatFigures {
  /** The routes that read and that nothing here calls. */
  readonly untold: readonly string[];
  readonly sizes: readonly number[];
  readonly found: readonly Found[];
  readonly started: readonly Started[];
  readonly beside: readonly Beside[];
  readonly streams: readonly { readonly engine: string; readonly cpu: number }[];
  readonly atRest: AtRest;
}

/** So much more, both as a share and in milliseconds, is no noise; of the quickest, which others disturb least. */
const GROWS = { share: 1.2, ms: 2 };

/** A table of all reads, what of them is not flat, and what was aimed at. */
export function flatReport(figures: FlatFigures): Report {
  const { untold, sizes, found, started, beside, streams, atRest } = figures;
  const grows = found.filter(isGrowing);
  const named = grows.map(({ engine, service, name }) => `${service}-api on ${engine}: ${name}`);
  return {
    name: 'flat',
    title: 'reads of both services among few and many orders and things',
    rows: found.map(({ engine, service, name, taken }) => ({
      engine,
      service,
      read: name,
      ...Object.fromEntries(
        sizes.flatMap((size, n) => [
          [`${size.toLocaleString('en')} p50 ms`, taken[n]?.p50 ?? 0],
          [`${size.toLocaleString('en')} p99 ms`, taken[n]?.p99 ?? 0],
        ]),
      ),
      flat: isGrowing({ taken }) ? 'no' : 'yes',
    })),
    aims: aimsOf(figures),
    notes: [
      ...untold.map((route) => `Not measured: ${route} has no case yet.`),
      `Not flat (${GROWS.share} times and ${GROWS.ms} ms more among most than among fewest, the quickest of each): ${named.length === 0 ? 'nothing' : named.join('; ')}.`,
      ...beside.map(
        ({ engine, count, alone, beside: asked }) =>
          `Intake on ${engine} at ${count.toLocaleString('en')} orders: ${formatValue(alone)} orders/s alone, ${formatValue(asked)} beside one who reads all there is.`,
      ),
      ...started.map(
        ({ engine, service, count, ms }) =>
          `${service}-api on ${engine} with ${count.toLocaleString('en')}: listens after ${formatValue(ms)} ms.`,
      ),
      ...streams.map(
        ({ engine, cpu }) => `Idle streams on ${engine}: ${formatValue(cpu * 100)} % of a core.`,
      ),
      `The platform at rest: ${formatValue(atRest.cpu * 100)} % of a core, ${formatValue(atRest.wakeUps)} wake-ups a second, ${formatValue(atRest.memoryBytes / 2 ** 20)} MiB; it listens after ${formatValue(atRest.startMs)} ms.`,
    ],
    bars: [],
  };
}

function isGrowing({ taken }: Pick<Found, 'taken'>): boolean {
  const [few, most] = [taken[0]?.least ?? 0, taken.at(-1)?.least ?? 0];
  return most > few * GROWS.share && most > few + GROWS.ms;
}

function aimsOf({ found, started, beside, streams, atRest }: FlatFigures): Aim[] {
  const slowest = (reads: readonly Found[]) =>
    reads.toSorted((a, b) => (b.taken.at(-1)?.p99 ?? 0) - (a.taken.at(-1)?.p99 ?? 0))[0];
  const aims: Aim[] = [];
  for (const [what, reads, most] of [
    ['p99 ms of a list among most', found.filter(isList), MOST_MS.list],
    ['p99 ms of any other read among most', found.filter((read) => !isList(read)), MOST_MS.other],
  ] as const) {
    const worst = slowest(reads);
    const name =
      worst === undefined ? '' : ` (slowest: ${worst.service}-api on ${worst.engine}, ${worst.name})`;
    aims.push({ what: `${what}${name}`, measured: worst?.taken.at(-1)?.p99 ?? 0, most });
  }
  for (const engine of new Set(beside.map((one) => one.engine))) {
    const of = beside.filter((one) => one.engine === engine);
    const [few, most] = [of[0]?.alone ?? 0, of.at(-1)?.beside ?? 0];
    aims.push({
      what: `intake on ${engine}, beside reads among most, of that among fewest`,
      measured: most / few,
      least: 0.9,
    });
  }
  aims.push({
    what: 'ms until a service listens',
    measured: Math.max(...started.map(({ ms }) => ms)),
    most: 1000,
  });
  aims.push({ what: '% of a core at rest', measured: atRest.cpu * 100, most: 1 });
  aims.push({ what: 'MiB at rest', measured: atRest.memoryBytes / 2 ** 20, most: 150 });
  for (const { engine, cpu } of streams)
    aims.push({ what: `% of a core for idle streams on ${engine}`, measured: cpu * 100, most: 3 });
  return aims;
}
