import { chmod, mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../free-ports.ts';
import { requireProgram } from '../place.ts';
import { startServer } from '../server-process.ts';
import type { PostgresTarget } from './postgres.ts';

/** A PgBouncer in front of a test's PostgreSQL; it goes with the test. */
export interface PgBouncer extends AsyncDisposable {
  /** How the database is reached through it. */
  readonly target: PostgresTarget;
}

/** Starts a PgBouncer with its defaults and this mode, in front of one database. */
export async function startPgBouncer(
  behind: PostgresTarget,
  mode: 'session' | 'transaction',
): Promise<PgBouncer> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await mkdtempDisposable(join(tmpdir(), 'pgbouncer-')));
  await chmod(path, 0o755);
  const port = await freePort();
  const { host, database, user, password } = behind;
  const [settings, users] = [join(path, 'pgbouncer.ini'), join(path, 'users.txt')];
  await writeFile(users, `"${user}" "${password}"\n`);
  await writeFile(
    settings,
    `[databases]
${database} = host=${host} port=${behind.port} dbname=${database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${users}
pool_mode = ${mode}
`,
  );
  stack.use(
    await startServer({
      command: requireProgram('pgbouncer'),
      // It refuses to run as root.
      args: [...(process.getuid?.() === 0 ? ['-u', 'nobody'] : []), settings],
      ready: async () => await connect(port),
    }),
  );
  const opened = stack.move();
  return {
    target: { ...behind, host: '127.0.0.1', port },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

async function connect(port: number): Promise<void> {
  const { createConnection } = await import('node:net');
  await new Promise<void>((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port }, () => {
      socket.end();
      resolve();
    }).once('error', reject);
  });
}
