import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { migrations } from '@morpheo/compute-api';
import { startPostgres } from '@morpheo/real-parts';
import { openDatabase } from '@morpheo/service/database';
import { storageMigrations } from '@morpheo/storage-api';
import type { BenchContext, BenchSize, Report } from '../bench.ts';
import { timed } from '../bench.ts';
import { type ServerProcess, startServer } from '../process/start-server.ts';
import { type Beside, intakeBeside } from './intake-beside.ts';
import { measureAtRest } from './platform-at-rest.ts';
import { computeCases, type ReadCase, routesWithoutCase, storageCases } from './read-cases.ts';
import { askers, type ReadServer } from './read-server.ts';
import { type Found, flatReport, type Started } from './report.ts';
import { seedCompute } from './seed-compute.ts';
import { seedStorage } from './seed-storage.ts';
import { type SeededDatabase, seededFile, seededOnPostgres } from './seeding.ts';
import { streamsCost } from './streams.ts';
import { Reader, takenOf } from './time-reads.ts';
import { uploadSome } from './upload-some.ts';

interface Size {
  readonly sizes: readonly number[];
  /** How often each read is asked for. */
  readonly times: number;
  /** How long orders are posted at a time, and what does nothing is looked at. */
  readonly ms: number;
  readonly streams: number;
}

const SIZES: Readonly<Record<BenchSize, Size>> = {
  full: { sizes: [1000, 100_000, 1_000_000], times: 100, ms: 10_000, streams: 500 },
  quick: { sizes: [1000, 50_000], times: 40, ms: 4000, streams: 500 },
  tiny: { sizes: [300], times: 1, ms: 100, streams: 2 },
};

const ENGINES = ['sqlite', 'postgres'] as const;

type Engine = (typeof ENGINES)[number];

/**
 * What each read of both services takes among few and among many orders and things, on both engines; what they take
 * from the intake; how long a start takes; and what the platform takes while nobody asks.
 */
export async function flat({ folder, size, sizes, say }: BenchContext): Promise<Report> {
  const how = { ...SIZES[size], ...(sizes === undefined ? {} : { sizes }) };
  say('flat: the platform at rest');
  const atRest = await measureAtRest(join(folder, 'platform'), how.ms / 4, how.ms * 2);
  const found: Found[] = [];
  const started: Started[] = [];
  const beside: Beside[] = [];
  const streams: { readonly engine: Engine; readonly cpu: number }[] = [];
  for (const engine of ENGINES) {
    await using place = await placesOf(engine, folder);
    for (const service of ['compute', 'storage'] as const) {
      await using servers = new AsyncDisposableStack();
      const running: Running[] = [];
      for (const count of how.sizes) {
        say(`flat: ${count} of ${service}-api on ${engine}`);
        const one = await seededServer({ service, count, engine, place, folder });
        servers.use(one.server);
        running.push(one);
        started.push({ engine, service, count, ms: one.startMs });
      }
      say(`flat: reads of ${service}-api on ${engine}`);
      found.push(...(await measureReads(running, how.times)).map((one) => ({ ...one, engine, service })));
      if (service === 'storage') continue;
      say(`flat: reads beside the intake on ${engine}`);
      for (const { server, count, cases } of running)
        beside.push({ engine, count, ...(await intakeBeside(server, cases, how.ms / 2)) });
      const last = running.at(-1);
      if (last !== undefined)
        streams.push({ engine, cpu: await streamsCost(last.server, last.count, how.streams, how.ms) });
    }
  }
  const untold = routesWithoutCase([...computeCases(ANY), ...storageCases(ANY.count, NOTHING)]);
  return flatReport({ untold, sizes: how.sizes, found, started, beside, streams, atRest });
}

const ANY = { count: 1000, due: 500, newest: 0 };
const NOTHING = { data: '', model: '', upload: '' };

/** Where databases of an engine are made. */
interface Places extends AsyncDisposable {
  database(name: string): Promise<() => SeededDatabase>;
}

async function placesOf(engine: Engine, folder: string): Promise<Places> {
  if (engine === 'sqlite') {
    return {
      database: async (name) => () => seededFile(join(folder, `${name}.db`)),
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  const postgres = await startPostgres({ settings: { shared_buffers: '128MB' } });
  return {
    async database() {
      const { host, port, database, user, password } = await postgres.createDatabase();
      const place = { engine: 'postgres', address: { host, port, database, user, password } } as const;
      return () => seededOnPostgres(postgres, place);
    },
    [Symbol.asyncDispose]: async () => await postgres[Symbol.asyncDispose](),
  };
}

interface Running {
  readonly server: ServerProcess;
  readonly count: number;
  readonly startMs: number;
  readonly cases: readonly ReadCase[];
}

interface Seeded {
  readonly service: ReadServer['service'];
  readonly count: number;
  readonly engine: Engine;
  readonly place: Places;
  readonly folder: string;
}

async function seededServer({ service, count, place, folder, engine }: Seeded): Promise<Running> {
  const name = `${service}-${engine}-${count}`;
  const open = await place.database(name);
  const file = join(folder, `${name}.db`);
  const made = engine === 'sqlite' ? ({ engine, file } as const) : open().place;
  const schema =
    service === 'compute'
      ? { migrations, owner: 'compute_api' }
      : { migrations: storageMigrations, owner: 'storage_api' };
  await (await openDatabase(made, schema))[Symbol.asyncDispose]();
  const database = open();
  const orders =
    service === 'compute' ? await seedCompute(database, count) : await seedStorage(database, count);
  await database.close();
  const how = { service, database: made, folder: join(folder, name), callers: await askers() };
  const start = async () => await startServer('reads', [JSON.stringify(how)]);
  // What the first start has to read stays in memory for the next, as after a restart of a service.
  if (count >= 1000) await (await start())[Symbol.asyncDispose]();
  const { result: server, ms: startMs } = await timed(start);
  const cases =
    orders === undefined ? storageCases(count, await uploadSome(server.url)) : computeCases(orders);
  return { server, count, startMs, cases };
}

/** Asks all servers in turns, so that they meet the same disturbances. */
async function measureReads(
  running: readonly Running[],
  times: number,
): Promise<Omit<Found, 'engine' | 'service'>[]> {
  using stack = new DisposableStack();
  const readers = running.map((one) => ({ ...one, reader: stack.use(new Reader()) }));
  const found: Omit<Found, 'engine' | 'service'>[] = [];
  for (const [index, { name }] of (running[0]?.cases ?? []).entries()) {
    const ms = readers.map(() => [] as number[]);
    // Figures for a scrape are read once in a while: what counts is what reading them takes.
    const isScrape = name === 'metrics';
    for (let time = isScrape ? 0 : -3; time < (isScrape ? 1 : times); time++) {
      for (const [n, { reader, server, cases }] of readers.entries()) {
        const read = cases[index];
        if (read === undefined) continue;
        const taken = await reader.time(server.url, read);
        if (time >= 0) ms[n]?.push(taken);
      }
    }
    found.push({ name, taken: ms.map(takenOf) });
    await pause(0);
  }
  return found;
}
