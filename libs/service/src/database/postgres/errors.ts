import { type ErrorCode, PlatformError } from '@morpheo/common';

/** What went wrong, where the platform has a word for it: `problem` goes on after the database's name. */
interface Meaning {
  readonly code: ErrorCode;
  readonly problem: string;
  /** What is of no use any more: this connection, or the server as a whole. */
  readonly loses?: 'connection' | 'server';
}

const BROKE = 'broke the connection';
/** How often a write is begun that meets others: they pass. */
const TRIES_IN_CONFLICT = 5;

const away = (problem: string): Meaning => ({ code: 'unavailable', problem, loses: 'server' });
const refused = (problem: string): Meaning => ({ code: 'unavailable', problem });

/** By SQLSTATE (PostgreSQL's manual, appendix A), or by its class of two characters. */
const STATES: Readonly<Record<string, Meaning>> = {
  '08': away(BROKE),
  '22021': {
    code: 'invalid_request',
    problem: 'cannot keep a text with a NUL character (U+0000); leave it out',
  },
  '25006': away('is read-only: it is a standby; name the primary'),
  '25P03': {
    ...refused('gave a transaction up that paused too long between its statements'),
    loses: 'connection',
  },
  '28': away('refuses this user; check the user, the password and pg_hba.conf'),
  '3D000': away('is not there; create it, or name another one'),
  '40001': refused('could not do the write beside others, several times; try again'),
  '40P01': refused('could not do the write beside others, several times; try again'),
  '42501': refused('does not let this user do this; make the user the owner of the database'),
  '53100': { code: 'disk_full', problem: 'has no room left; free some' },
  '53': refused('has no resources left; give it more, or use fewer connections'),
  '55P03': refused('could not do the write in time, since another transaction holds the row; try again'),
  '57014': refused('took longer over a statement than it may; is it overloaded?'),
  '57P05': {
    ...refused('ends connections that nobody uses for a time; set idle_session_timeout = 0 for this user'),
    loses: 'connection',
  },
  '57P': away('is shutting down or starting up; try again soon'),
  '58': refused("cannot read or write its files; check the server's disk and log"),
};

/** By the code of an error of the network (Node's), or of a certificate. */
const CODES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refuses the connection; is the server running?',
  ENOENT: 'has no socket there; is the server running?',
  ENOTFOUND: 'cannot be found: there is no such host; correct its name',
  EAI_AGAIN: 'cannot be found: the name server does not answer',
  ETIMEDOUT: 'does not answer',
  EHOSTUNREACH: 'cannot be reached; check the network',
  ENETUNREACH: 'cannot be reached; check the network',
  ECONNRESET: BROKE,
  EPIPE: BROKE,
};

/** By what pg says, where it gives no code. */
const MESSAGES: readonly (readonly [RegExp, string])[] = [
  [/timeout expired|due to connection timeout/, 'does not answer'],
  [/^Query read timeout/, 'does not answer'],
  [/^Connection terminated|is not queryable/, BROKE],
  [
    /^The server does not support SSL connections/,
    'speaks no TLS; switch TLS on at the server, or off in our settings',
  ],
  [/^There was an error establishing an SSL connection/, 'could not begin to speak TLS'],
  [/^SASL: /, 'could not check the password; give the right one'],
];

/** What pg's pool says. */
const NONE_FREE = refused('has no connection free in time; allow more, or send less at once');

/**
 * An error of the engine or of the way to it, in the platform's terms: whatever keeps the database from being used is
 * `unavailable`, with the remedy. Every other error is a fault of ours and stays as it is.
 */
export function fromPostgresError(error: unknown, name: string): unknown {
  const meaning = meaningOf(error);
  if (meaning === undefined || error instanceof PlatformError) return error;
  const said = error instanceof Error && error.message !== '' ? ` (${error.message})` : '';
  return new PlatformError(meaning.code, `${name} ${meaning.problem}${said}.`, { cause: error });
}

/** What an error leaves of no use: the connection that it came from, or the whole server for now. */
export function lossOf(error: unknown): Meaning['loses'] {
  // A plan that is kept by the connection does not fit a table that has changed; a new connection has none.
  return stateOf(error) === STALE_PLAN ? 'connection' : meaningOf(error)?.loses;
}

/**
 * How often a transaction that failed so, before its commit was asked for, is worth trying: it was undone, and may go
 * well where it met another one, or once more where its connection broke.
 */
export function triesFor(error: unknown): number {
  const cause = error instanceof PlatformError ? error.cause : error;
  const state = stateOf(cause);
  if (state === '40001' || state === '40P01') return TRIES_IN_CONFLICT;
  return state === STALE_PLAN || meaningOf(cause)?.problem === BROKE ? 2 : 1;
}

const STALE_PLAN = '0A000';

function stateOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  return /^[0-9A-Z]{5}$/.test(error.code) && 'severity' in error ? error.code : undefined;
}

function meaningOf(error: unknown): Meaning | undefined {
  if (!(error instanceof Error)) return undefined;
  const state = stateOf(error);
  if (state !== undefined) {
    return STATES[state] ?? STATES[state.slice(0, 3)] ?? STATES[state.slice(0, 2)];
  }
  // Several addresses of one name were tried, and each has failed.
  if (error instanceof AggregateError) return meaningOf(error.errors[0]);
  if (error.message === 'timeout exceeded when trying to connect') return NONE_FREE;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const known = CODES[code] ?? MESSAGES.find(([pattern]) => pattern.test(error.message))?.[1];
  if (known !== undefined) return away(known);
  if (/CERT|TLS|SSL|ISSUER|VERIFY/.test(code)) {
    return away('does not prove by its certificate who it is; check --db-tls and the name of the host');
  }
  return undefined;
}
