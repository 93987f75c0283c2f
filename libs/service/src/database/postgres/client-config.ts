import { checkServerIdentity } from 'node:tls';
import type { ClientConfig } from 'pg';
import { type CustomTypesConfig, types } from 'pg';
import type { PostgresAddress } from './address.ts';

/** How long anything may take, in milliseconds. */
export interface PostgresTimes {
  /** To connect, and to wait for one of the connections. */
  readonly connectMs: number;
  /** One statement. */
  readonly statementMs: number;
  /** A statement's wait for what another transaction holds. */
  readonly lockMs: number;
  /** A transaction's pause between two statements. */
  readonly idleInTransactionMs: number;
}

/** The times where nothing else is said. */
export const POSTGRES_TIMES: PostgresTimes = {
  connectMs: 5_000,
  statementMs: 15_000,
  lockMs: 5_000,
  idleInTransactionMs: 15_000,
};

/** The server says itself when a statement takes too long; this long after that it counts as silent. */
const SILENCE_MS = 2_000;
/** How soon the system asks whether a silent peer is still there. */
const KEEP_ALIVE_MS = 10_000;

/** What pg is given for one connection; 0 for a time means none. Nothing is left for it to read in the environment. */
export function clientConfig(address: PostgresAddress, times: PostgresTimes, name: string): ClientConfig {
  const { host, port, database, user } = address;
  return {
    host,
    port,
    database,
    user,
    // As a function: it may have changed, and an empty text would make pg look into the environment and into a file.
    password: () => address.password ?? '',
    ssl: tlsOf(address),
    application_name: name,
    types: parseNumbers,
    connectionTimeoutMillis: times.connectMs,
    ...(times.statementMs > 0 && { query_timeout: times.statementMs + SILENCE_MS }),
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
  };
}

/**
 * What a connection is told first: the bounds of {@link PostgresTimes}, and that it may be idle for as long as we like.
 * Not as parameters of its start, which a pooler such as PgBouncer refuses, or takes and forgets.
 */
export function sessionSettings({ statementMs, lockMs, idleInTransactionMs }: PostgresTimes): string {
  return [
    `set statement_timeout = ${statementMs}`,
    `set lock_timeout = ${lockMs}`,
    `set idle_in_transaction_session_timeout = ${idleInTransactionMs}`,
    'set idle_session_timeout = 0',
  ].join('; ');
}

function tlsOf({ tls, host }: PostgresAddress): Exclude<ClientConfig['ssl'], undefined> {
  if (tls === undefined) return false;
  return {
    rejectUnauthorized: true,
    // pg checks the name of a server that is given by its number against "localhost".
    checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
    // pg reads it for each connection; it may have changed.
    get ca() {
      return tls === 'system' ? undefined : tls.ca;
    },
  };
}

// Object ids of types (pg_type.dat of PostgreSQL's source).
const INT8 = 20;
const NUMERIC = 1700;

/**
 * How values come back: whole numbers of eight bytes, and sums of them, as numbers. Ours are times, sizes and counts,
 * which are exact up to 2^53. Everything else as pg has it.
 */
const parseNumbers: CustomTypesConfig = {
  getTypeParser: (id: number, format?: 'text' | 'binary') =>
    id === INT8 || id === NUMERIC ? Number : types.getTypeParser(id, format ?? 'text'),
};
