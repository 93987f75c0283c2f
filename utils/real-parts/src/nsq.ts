import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from './free-ports.ts';
import { requireProgram } from './place.ts';
import { type ServerProcess, startServer } from './server-process.ts';

const run = promisify(execFile);
const HOST = '127.0.0.1';

/** How an nsqd of a test is started. */
export interface NsqdOptions {
  /** The TCP addresses of the nsqlookupds it tells of itself. */
  readonly lookupds?: readonly string[];
  /** PEM files; with `ca` it wants certificates of its clients, with `required` it takes no plain connection. */
  readonly tls?: {
    readonly cert: string;
    readonly key: string;
    readonly ca?: string;
    readonly required?: boolean;
  };
  /** The HTTP address of the server that judges secrets. */
  readonly auth?: string;
  /** Further flags, such as `--msg-timeout=1s`. */
  readonly flags?: readonly string[];
}

/** A server of NSQ that belongs to a test. */
export interface NsqServer extends AsyncDisposable {
  /** Where it speaks its own protocol, as host:port; the same after it has started again. */
  readonly tcp: string;
  /** Where it speaks HTTP, as host:port. */
  readonly http: string;
  /** Ends it without a chance to write anything down. */
  kill(): Promise<void>;
  /** Stops it where it stands: its connections stay open and nothing answers. */
  freeze(): Promise<void>;
  /** Lets a frozen one go on. */
  thaw(): Promise<void>;
  /** Starts it again, on what is there. */
  start(): Promise<void>;
  /** Ends it and removes all that it has kept; `start` then begins with nothing. */
  wipe(): Promise<void>;
  /** The end of what it printed. */
  output(): string;
}

/** Starts an nsqd in a folder of its own, which goes with it. */
export async function startNsqd(options: NsqdOptions = {}): Promise<NsqServer> {
  const { lookupds = [], tls, auth, flags = [] } = options;
  return await startPart('nsqd', (folder) => [
    `--data-path=${folder}`,
    ...lookupds.map((address) => `--lookupd-tcp-address=${address}`),
    ...(tls === undefined
      ? []
      : [`--tls-cert=${tls.cert}`, `--tls-key=${tls.key}`, `--https-address=${HOST}:0`]),
    ...(tls?.ca === undefined
      ? []
      : [`--tls-root-ca-file=${tls.ca}`, '--tls-client-auth-policy=require-verify']),
    // It takes `true` for HTTP too, which would shut out the tests' own questions.
    ...(tls?.required === true ? ['--tls-required=tcp-https'] : []),
    ...(auth === undefined ? [] : [`--auth-http-address=${auth}`]),
    ...flags,
  ]);
}

/** Starts an nsqlookupd, which keeps nothing on disk. */
export async function startNsqlookupd(): Promise<NsqServer> {
  return await startPart('nsqlookupd', () => []);
}

async function startPart(program: string, flags: (folder: string) => string[]): Promise<NsqServer> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), `morpheo-${program}-`));
  stack.defer(async () => await rm(folder, { recursive: true, force: true }));
  const tcp = `${HOST}:${await freePort()}`;
  const http = `${HOST}:${await freePort()}`;
  const server: ServerProcess = stack.use(
    await startServer({
      command: requireProgram(program),
      args: [
        `--tcp-address=${tcp}`,
        `--http-address=${http}`,
        `--broadcast-address=${HOST}`,
        ...flags(folder),
      ],
      ready: async () => await ping(http),
    }),
  );
  const opened = stack.move();
  return {
    tcp,
    http,
    kill: async () => await server.kill('SIGKILL'),
    async freeze() {
      await server.kill('SIGSTOP');
      await untilStopped(server.pid);
    },
    thaw: async () => await server.kill('SIGCONT'),
    start: async () => await server.start(),
    async wipe() {
      await server.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder);
    },
    output: () => server.output(),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** The signal is on its way for a while, in which a busy process still answers. */
async function untilStopped(pid: number): Promise<void> {
  for (;;) {
    const { stdout } = await run('ps', ['-o', 'stat=', '-p', `${pid}`]);
    if (stdout.startsWith('T')) return;
  }
}

async function ping(http: string): Promise<void> {
  const answer = await fetch(`http://${http}/ping`, { signal: AbortSignal.timeout(1000) });
  const text = await answer.text();
  if (text !== 'OK') throw new Error(`It answers ${answer.status} ${text}.`);
}
