import { readFile } from 'node:fs/promises';
import { isPlatformError } from '@morpheo/common';
import { z } from 'zod';
import { defineSettings, type SettingsOf } from '../config/index.ts';
import { type Follow, followPems } from '../lifecycle/index.ts';
import type { DatabasePlace } from './open.ts';
import { type PostgresAddress, parsePostgresUrl } from './postgres/address.ts';

const text = z.string().min(1);
const optional = text.optional();
const count = z.coerce.number().int().min(1);

/** The settings that say where a service keeps its rows; `prefix` begins its variables, such as `MORPHEO_COMPUTE_`. */
export function databaseSettings<const Prefix extends string>(prefix: Prefix) {
  return defineSettings({
    database: {
      flag: 'database',
      env: `${prefix}DATABASE`,
      schema: z.enum(['sqlite', 'postgres']).optional(),
      help: 'Where rows are kept. sqlite: in a file of the data folder, by one process; postgres: on a server, by any number. Absent: postgres where a --db-url or --db-host is given.',
    },
    dbUrl: {
      flag: 'db-url',
      env: `${prefix}DB_URL`,
      schema: optional,
      secret: true,
      help: 'PostgreSQL in one line: postgres://user:password@host:port/name; ?sslmode=verify-full for TLS.',
    },
    dbHost: {
      flag: 'db-host',
      env: `${prefix}DB_HOST`,
      schema: optional,
      help: 'The host of PostgreSQL, or the folder of its Unix socket.',
    },
    dbPort: {
      flag: 'db-port',
      env: `${prefix}DB_PORT`,
      schema: count.max(65_535).optional(),
      help: 'The port of PostgreSQL; 5432 where absent.',
    },
    dbName: {
      flag: 'db-name',
      env: `${prefix}DB_NAME`,
      schema: optional,
      help: 'The name of the database on PostgreSQL; services may share one.',
    },
    dbUser: {
      flag: 'db-user',
      env: `${prefix}DB_USER`,
      schema: optional,
      help: 'Who we are to PostgreSQL: the owner of the database.',
    },
    dbPassword: {
      flag: 'db-password',
      env: `${prefix}DB_PASSWORD`,
      schema: optional,
      aliases: ['db-pass'],
      secret: true,
      help: 'The password of --db-user.',
    },
    dbTls: {
      flag: 'db-tls',
      env: `${prefix}DB_TLS`,
      schema: optional,
      help: 'Speak TLS with PostgreSQL, and check who it is: PEM file of the authority, or `system` for those of the system.',
    },
    dbPoolSize: {
      flag: 'db-pool-size',
      env: `${prefix}DB_POOL_SIZE`,
      schema: count.max(1000),
      default: 10,
      help: 'The most connections to PostgreSQL at once; one more hears what other services have done.',
    },
    dbStatementMs: {
      flag: 'db-statement-timeout-ms',
      env: `${prefix}DB_STATEMENT_TIMEOUT_MS`,
      schema: count.max(3_600_000),
      default: 15_000,
      help: 'How long one statement on PostgreSQL may take.',
    },
  });
}

/** The values of {@link databaseSettings}. */
export type DatabaseConfig = SettingsOf<ReturnType<typeof databaseSettings>>;

/** What contradicts in the values, and what to do, a sentence each; `hasFolder`: whether a data folder is given. */
export function databaseContradictions(config: DatabaseConfig, hasFolder: boolean): string[] {
  const { dbUrl, dbHost, dbName, dbUser } = config;
  const parts = givenParts(config);
  if (engineOf(config) === 'sqlite') {
    const given = [...(dbUrl === undefined ? [] : ['--db-url']), ...parts];
    return [
      ...(given.length === 0
        ? []
        : [`--database sqlite has no use for ${given.join(', ')}: leave them out, or say postgres.`]),
      ...(hasFolder ? [] : ['--data-dir is required: the database is a file there. Or name a PostgreSQL.']),
    ];
  }
  if (dbUrl === undefined) {
    const missing = Object.entries({ '--db-host': dbHost, '--db-name': dbName, '--db-user': dbUser })
      .filter(([, value]) => value === undefined)
      .map(([flag]) => flag);
    return missing.length === 0
      ? []
      : [`PostgreSQL needs ${missing.join(', ')} as well, or all of it as --db-url.`];
  }
  const twice = parts.filter((flag) => flag !== '--db-tls');
  return [
    ...(twice.length === 0 ? [] : [`--db-url says all of ${twice.join(', ')}: give one or the other.`]),
    ...urlProblems(dbUrl.reveal(), config.dbTls),
  ];
}

/**
 * Reads where the database is from settings without contradictions; `file` is that of SQLite. The password of the
 * address is as its setting is at the time, and so is the authority of `--db-tls` where `follow` is given.
 */
export async function readDatabasePlace(
  config: DatabaseConfig,
  file: string,
  follow?: Follow,
): Promise<DatabasePlace> {
  if (engineOf(config) === 'sqlite') return { engine: 'sqlite', file };
  const address = addressOf(config);
  // An address that is none is told when its file changes, and not when somebody connects.
  config.dbUrl?.onRenewed(async () => void addressOf(config));
  const { dbTls, dbPoolSize: poolSize, dbStatementMs: statementMs } = config;
  const tls = dbTls === undefined || dbTls === 'system' ? dbTls : await authorityIn(dbTls, follow);
  return {
    engine: 'postgres',
    address: {
      ...address,
      ...(tls !== undefined && { tls }),
      get password() {
        return addressOf(config).password;
      },
    },
    poolSize,
    times: { statementMs },
  };
}

async function authorityIn(file: string, follow: Follow | undefined): Promise<{ readonly ca: string }> {
  if (follow !== undefined) return await followPems('--db-tls', { ca: file }, follow);
  return { ca: await readFile(file, 'utf8') };
}

/** Which engine the settings name. */
export function engineOf({ database, dbUrl, dbHost }: DatabaseConfig): 'sqlite' | 'postgres' {
  return database ?? (dbUrl === undefined && dbHost === undefined ? 'sqlite' : 'postgres');
}

function addressOf({ dbUrl, dbHost, dbPort, dbName, dbUser, dbPassword }: DatabaseConfig): PostgresAddress {
  if (dbUrl !== undefined) return parsePostgresUrl(dbUrl.reveal() ?? '');
  return {
    host: dbHost ?? '',
    port: dbPort ?? 5432,
    database: dbName ?? '',
    user: dbUser ?? '',
    password: dbPassword?.reveal(),
  };
}

/** The flags of one part each that are given. */
function givenParts(config: DatabaseConfig): string[] {
  const { dbHost, dbPort, dbName, dbUser, dbPassword, dbTls } = config;
  const parts = {
    '--db-host': dbHost,
    '--db-port': dbPort,
    '--db-name': dbName,
    '--db-user': dbUser,
    '--db-password': dbPassword,
    '--db-tls': dbTls,
  };
  return Object.entries(parts).flatMap(([flag, value]) => (value === undefined ? [] : flag));
}

function urlProblems(url: string | undefined, tls: string | undefined): string[] {
  try {
    const address = parsePostgresUrl(url ?? '');
    return tls !== undefined && address.host.startsWith('/') ? ['--db-tls has no use on a Unix socket.'] : [];
  } catch (error) {
    if (isPlatformError(error)) return [`--db-url: ${error.message}`];
    throw error;
  }
}
