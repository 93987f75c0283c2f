import { hash } from 'node:crypto';
import { openSharedPostgres, type SharedPostgres, type TestDatabase, withParts } from '@morpheo/real-parts';
import type { ExecutionContext, TestFn } from 'ava';
import { type Database, type DatabasePlace, type OpenDatabase, openDatabase } from '../index.ts';

export { type Dump, dumpTables } from './dump.ts';
export { type RecordedQueries, recordQueries } from './plans.ts';
export { type CountedWire, countWire, type WireCount } from './wire.ts';

/** An engine that tests run on. */
export interface TestEngine<Schema> {
  readonly name: 'sqlite' | 'postgres';
  /** An empty database of the engine; disposing lets go of it. */
  place(): Promise<TestPlace<Schema>>;
}

/** Where one database is, with its schema. */
export interface TestPlace<Schema> extends AsyncDisposable {
  /** Opens it; more than once on PostgreSQL alone. */
  open(): Promise<Database<Schema>>;
  /** What a service is given for it. */
  readonly database: DatabasePlace;
}

/** Registers a test once for each engine. */
export type TestOnEngines<Schema> = (
  title: string,
  run: (t: ExecutionContext, engine: TestEngine<Schema>) => Promise<void>,
) => void;

/** What is to happen happens late on a busy machine; the bounds of a service have tests of their own. */
const PATIENT = { connectMs: 60_000, statementMs: 60_000, lockMs: 60_000, idleInTransactionMs: 60_000 };

/** The most databases of a test file at once: each has connections of its own. */
const MOST_AT_ONCE = 4;

/**
 * What registers the tests of a file on SQLite and on PostgreSQL, where the machine has it. The file's server is
 * started by the first test that needs it, and goes when the file's tests have ended.
 */
export function onEngines<Schema>(
  test: TestFn,
  options: OpenDatabase & { readonly owner: string },
): TestOnEngines<Schema> {
  const postgres = new PostgresEngine<Schema>(options);
  test.after.always(async () => await postgres[Symbol.asyncDispose]());
  const onPostgres = withParts(test, 'postgres');
  return (title, run) => {
    test(title, async (t) => await run(t, { name: 'sqlite', place: async () => inMemory(options) }));
    onPostgres(`${title} (PostgreSQL)`, async (t) => await run(t, postgres));
  };
}

/** A PostgreSQL server that nobody ends: the one of the run of tests, else one of the file, started by who asks first. */
export function sharedPostgres(test: TestFn): () => Promise<SharedPostgres> {
  let server: Promise<SharedPostgres> | undefined;
  test.after.always(async () => {
    const started = await server;
    await started?.[Symbol.asyncDispose]();
  });
  return async () => {
    server ??= openSharedPostgres();
    return await server;
  };
}

function inMemory<Schema>(options: OpenDatabase & { readonly owner: string }): TestPlace<Schema> {
  const database = { engine: 'sqlite', file: ':memory:' } as const;
  return {
    database,
    open: async () => await openDatabase(database, options),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

class PostgresEngine<Schema> implements TestEngine<Schema>, AsyncDisposable {
  readonly name = 'postgres';
  readonly #options: OpenDatabase & { readonly owner: string };
  readonly #free: TestDatabase[] = [];
  readonly #line: (() => void)[] = [];
  readonly #kind: string;
  #server: Promise<SharedPostgres> | undefined;
  #taken = 0;

  constructor(options: OpenDatabase & { readonly owner: string }) {
    this.#options = options;
    this.#kind = hash('sha256', [options.owner, ...Object.keys(options.migrations)].join()).slice(0, 20);
  }

  /** Leaves its databases to the next file with the same schema: making one takes a fifth of a second on a processor. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#free.map((database) => database[Symbol.asyncDispose]()));
    await (await this.#server)?.[Symbol.asyncDispose]();
  }

  async place(): Promise<TestPlace<Schema>> {
    if (this.#taken >= MOST_AT_ONCE) await new Promise<void>((resolve) => this.#line.push(resolve));
    else this.#taken += 1;
    this.#server ??= openSharedPostgres();
    const server = await this.#server;
    const address = this.#free.pop() ?? (await server.takeDatabase(this.#kind));
    const database = { engine: 'postgres', address, poolSize: 4, times: PATIENT } as const;
    return {
      database,
      open: async () => await openDatabase(database, this.#options),
      [Symbol.asyncDispose]: async () => {
        await server.query(EMPTY, address.database);
        this.#free.push(address);
        const next = this.#line.shift();
        if (next === undefined) this.#taken -= 1;
        else next();
      },
    };
  }
}

/** Empties every table but those that say which steps of the schema were run; much quicker than a new database. */
const EMPTY = `do $$
declare name text;
begin
  set local session_replication_role = replica;
  for name in select tablename from pg_tables where schemaname = 'public' and tablename !~ '_migration' loop
    execute format('delete from %I', name);
  end loop;
end $$`;
