import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../free-ports.ts';
import { partsFolder, quickFolder, requireProgram } from '../place.ts';
import { type ServerProcess, startServer } from '../server-process.ts';

/** How to reach one database of a test's server. */
export interface PostgresTarget {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
}

/** A fresh database; disposing drops it. */
export interface TestDatabase extends PostgresTarget, AsyncDisposable {
  /** `postgres://…` with the password. */
  readonly url: string;
}

/** A PostgreSQL server of a test: it syncs what it writes, listens on 127.0.0.1, and goes with all its data. */
export interface PostgresServer extends AsyncDisposable {
  readonly target: PostgresTarget;
  /** The PEM file of the authority that signed its certificate, which is for 127.0.0.1; where it speaks TLS. */
  readonly caFile: string | undefined;
  /** Makes a database; a copy of `template` where one is named, which nobody may use at that moment. */
  createDatabase(template?: string): Promise<TestDatabase>;
  /**
   * A database of a kind (`a-z`, digits and `_`, at most 20) that somebody has left, or a new one. Disposing leaves it
   * for the next, who takes it for a new one but for its schema: first its rows have to go.
   */
  takeDatabase(kind: string): Promise<TestDatabase>;
  /** Ends the server and all its processes at once, as `kill -9`. */
  kill(): Promise<void>;
  /** Shuts the server down as an administrator does who does not wait for its clients. */
  stop(): Promise<void>;
  /** Stops all its processes where they are, until `thaw`. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Starts it again on its data. */
  start(): Promise<void>;
  /** Runs SQL as the owner of everything, one statement. */
  query(sql: string, database?: string): Promise<Record<string, unknown>[]>;
  output(): string;
}

/** What a server is started with. */
export interface StartPostgres {
  /** Settings of the server beside those of a test. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly tls?: boolean;
  /** Where its data lies and stays, and what is there is used; a folder that goes with it, in memory, where absent. */
  readonly folder?: string;
}

const OWNER = { user: 'morpheo', password: 'of the real parts' } as const;
const run = promisify(execFile);

/** Starts a server of the machine's PostgreSQL on a free port, with fresh data. */
export async function startPostgres({
  settings = {},
  tls = false,
  folder: kept,
}: StartPostgres = {}): Promise<PostgresServer> {
  const account = await accountOf();
  await using stack = new AsyncDisposableStack();
  const folder = kept ?? (await mkdtemp(join(quickFolder(), 'postgres-')));
  if (kept === undefined) stack.defer(() => rm(folder, { recursive: true, force: true }));
  const data = await makeData(folder, account);
  const caFile = tls ? await makeCertificate(data, account) : undefined;
  const port = await freePort();
  const target = { host: '127.0.0.1', port, database: 'postgres', ...OWNER };
  const all = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: data,
    max_connections: '200',
    shared_buffers: '32MB',
    fsync: 'on',
    // In its folder, with which it goes: what lies in the system's place stays when the server is killed.
    dynamic_shared_memory_type: 'mmap',
    log_min_messages: 'fatal',
    ...(tls && { ssl: 'on', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key' }),
    ...settings,
  };
  const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = await startServer({
    command: requireProgram('postgres'),
    args: ['-D', data, '-p', String(port), ...flags],
    cwd: data,
    ...account,
    ready: () => queryOf(target, 'select 1'),
  });
  stack.defer(() => killAll(server));
  const opened = stack.move();
  return {
    ...postgresOn(target),
    caFile,
    kill: () => killAll(server),
    stop: () => stop(server),
    freeze: async () => void (await signalAll(server, 'SIGSTOP')),
    thaw: async () => void (await signalAll(server, 'SIGCONT')),
    start: () => server.start(),
    output: () => server.output(),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** What can be asked of a server that runs. */
export function postgresOn(
  target: PostgresTarget,
): Pick<PostgresServer, 'target' | 'createDatabase' | 'takeDatabase' | 'query'> {
  return {
    target,
    createDatabase: (template) => createDatabase(target, template),
    takeDatabase: (kind) => takeDatabase(target, kind),
    query: (sql, database = target.database) => queryOf({ ...target, database }, sql),
  };
}

async function createDatabase(target: PostgresTarget, template = 'template0'): Promise<TestDatabase> {
  const database = `test_${randomDigits()}`;
  await queryOf(target, `create database ${database} template ${template}`);
  // A server that a test has left dead takes its databases with it.
  return testDatabase(target, database, `drop database if exists ${database} with (force)`);
}

/** The name tells whether somebody has it: of several who would rename one, a single one can. */
async function takeDatabase(target: PostgresTarget, kind: string): Promise<TestDatabase> {
  const [database, free] = [`taken_${kind}_${randomDigits()}`, `free_${kind}_`];
  const left = await queryOf(target, `select datname from pg_database where starts_with(datname, '${free}')`);
  const release = `alter database ${database} rename to ${free}${randomDigits()}`;
  for (const { datname } of left) {
    const isOurs = await queryOf(target, `alter database ${datname} rename to ${database}`).then(
      () => true,
      () => false,
    );
    if (isOurs) return testDatabase(target, database, release);
  }
  await queryOf(target, `create database ${database} template template0`);
  return testDatabase(target, database, release);
}

function testDatabase(target: PostgresTarget, database: string, release: string): TestDatabase {
  const { user, password, host, port } = target;
  return {
    ...{ host, port, database, user, password },
    url: `postgres://${user}:${encodeURIComponent(password)}@${host}:${port}/${database}`,
    [Symbol.asyncDispose]: () =>
      queryOf(target, release).then(
        () => undefined,
        () => undefined,
      ),
  };
}

function randomDigits(): string {
  return randomUUID().replaceAll('-', '');
}

async function queryOf(target: PostgresTarget, sql: string): Promise<Record<string, unknown>[]> {
  // Loaded where it is used: most tests that load this package have no use for it.
  const { Client } = (await import('pg')).default;
  const client = new Client({ ...target, ssl: false, connectionTimeoutMillis: 60_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** PostgreSQL refuses to run as root: then it runs as the system's user `postgres`. */
async function accountOf(): Promise<{ uid?: number; gid?: number }> {
  if (process.getuid?.() !== 0) return {};
  const entry = /^postgres:[^:]*:(\d+):(\d+):/m.exec(await readFile('/etc/passwd', 'utf8'));
  if (entry === null)
    throw new Error('There is no user postgres to run PostgreSQL as: run `make real-parts`.');
  return { uid: Number(entry[1]), gid: Number(entry[2]) };
}

async function makeData(folder: string, account: { uid?: number; gid?: number }): Promise<string> {
  const data = join(folder, 'data');
  if (await stat(data).catch(() => undefined)) return data;
  await cp(await template(account), data, { recursive: true });
  if (account.uid !== undefined && account.gid !== undefined) {
    await run('chown', ['-R', `${account.uid}:${account.gid}`, folder]);
  }
  await chmod(data, 0o700);
  return data;
}

/** A folder of fresh data of this version: made once and kept, since it takes seconds. */
async function template(account: { uid?: number; gid?: number }): Promise<string> {
  const { stdout } = await run(requireProgram('postgres'), ['--version']);
  const kept = join(partsFolder, `postgres-data-${stdout.trim().replaceAll(/[^\w.]+/g, '-')}`);
  if (await stat(kept).catch(() => undefined)) return kept;
  await mkdir(partsFolder, { recursive: true });
  const work = await mkdtemp(join(tmpdir(), 'postgres-template-'));
  const made = join(partsFolder, `making-${basename(work)}`);
  try {
    const secret = join(work, 'password');
    await writeFile(secret, OWNER.password);
    for (const path of [work, secret]) {
      if (account.uid !== undefined && account.gid !== undefined) await chown(path, account.uid, account.gid);
    }
    const who = ['-U', OWNER.user, '--pwfile', secret, '--auth', 'scram-sha-256'];
    const how = ['--encoding', 'UTF8', '--locale', 'C', '--no-sync'];
    await run(requireProgram('initdb'), ['-D', join(work, 'data'), ...who, ...how], {
      ...account,
      cwd: work,
    });
    await cp(join(work, 'data'), made, { recursive: true });
    // Another test may have been quicker.
    await rename(made, kept).catch(() => undefined);
  } finally {
    await rm(work, { recursive: true, force: true });
    await rm(made, { recursive: true, force: true });
  }
  return kept;
}

async function makeCertificate(data: string, account: { uid?: number; gid?: number }): Promise<string> {
  const [key, certificate] = [join(data, 'server.key'), join(data, 'server.crt')];
  const kind = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=postgres'];
  const name = ['-addext', 'subjectAltName=IP:127.0.0.1'];
  await run('openssl', [...kind, ...name, '-keyout', key, '-out', certificate]);
  await chmod(key, 0o600);
  if (account.uid !== undefined && account.gid !== undefined) await chown(key, account.uid, account.gid);
  return certificate;
}

/** Each process of PostgreSQL leads a group of its own, so that a signal to the first one's group misses the others. */
async function signalAll(server: ServerProcess, signal: NodeJS.Signals): Promise<number[]> {
  const { pid } = server;
  if (!server.running) return [];
  const list = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const all = [pid, ...list.split(' ').filter(Boolean).map(Number)];
  return all.filter((one) => send(one, signal));
}

async function killAll(server: ServerProcess): Promise<void> {
  const killed = await signalAll(server, 'SIGKILL');
  await server.kill('SIGKILL');
  // One that is left over keeps the next server from its memory.
  await until(() => !killed.slice(1).some((pid) => send(pid, 0)));
}

async function stop(server: ServerProcess): Promise<void> {
  if (server.running) send(server.pid, 'SIGINT');
  await until(() => !server.running);
}

/** Whether there was a process to send the signal to. */
function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries += 1) {
    if (tries > 2_000) throw new Error('PostgreSQL does not end.');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
