import { PlatformError } from '@morpheo/common';

/** Where a database is, and who we are to it. */
export interface PostgresAddress {
  /** A name, an address, or the folder of a Unix socket (it begins with a slash). */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Read for each connection, as it may change. */
  readonly password?: string | undefined;
  /**
   * How the server proves who it is: by the system's authorities, or by those of a PEM text, which is read
   * for each connection. Absent: no TLS.
   */
  readonly tls?: 'system' | { readonly ca: string } | undefined;
}

/** The database as messages name it; never its password. */
export function nameOf({ host, port, database }: PostgresAddress): string {
  return `PostgreSQL at ${host.includes(':') ? `[${host}]` : host}:${port}, database "${database}"`;
}

/**
 * Reads `postgres://user:password@host:port/database`; a socket's folder is given as `?host=/run/postgresql`, which wins. Of
 * `sslmode`, `disable` and `verify-full` are understood: what lies between does not check whom it talks to. Throws
 * `invalid_request`, which never repeats the URL.
 */
export function parsePostgresUrl(text: string): PostgresAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['postgres:', 'postgresql:'].includes(url.protocol)) {
    throw refusal('should be postgres://user:password@host:port/database');
  }
  const { host = decodeURIComponent(url.hostname), sslmode = 'disable', ...others } = queryOf(url);
  const unknown = Object.keys(others).join(', ');
  if (unknown !== '') throw refusal(`says ${unknown}, which is not understood; leave it out`);
  if (sslmode !== 'disable' && sslmode !== 'verify-full') {
    throw refusal(
      `says sslmode=${sslmode}, which does not check whom it talks to; say verify-full, or name the authority's file instead`,
    );
  }
  const [database, user, password] = [url.pathname.slice(1), url.username, url.password].map(
    decodeURIComponent,
  );
  if (!host || !database || !user) throw refusal('should name a host, a database and a user');
  return {
    ...{ host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(url.port || 5432), database, user },
    ...(password && { password }),
    ...(sslmode === 'verify-full' && { tls: 'system' }),
  };
}

function queryOf(url: URL): Partial<Record<string, string>> {
  return Object.fromEntries(url.searchParams);
}

function refusal(problem: string): PlatformError {
  return new PlatformError('invalid_request', `The address of the database ${problem}.`);
}
