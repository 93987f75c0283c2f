import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './free-ports.ts';
import { quickFolder, requireProgram } from './place.ts';
import { startServer } from './server-process.ts';

/** The registry of the distribution project, for a test: it listens on 127.0.0.1, and goes with all its images. */
export interface RegistryServer extends AsyncDisposable {
  /** With its port. */
  readonly host: string;
  /** Of the only one who may push and fetch. */
  readonly credentials: { readonly username: string; readonly password: string };
  output(): string;
}

const OWNER = { username: 'morpheo', password: 'of-the-real-parts' } as const;
/** The password as `htpasswd -B` writes it. */
const HASH = '$2y$05$abcdefghijklmnopqrstuuBWZy39zhLbgsBIPUDnPClPdS1vajKd.';

/** Starts the machine's registry on a free port, with no images. */
export async function startRegistry(): Promise<RegistryServer> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(quickFolder(), 'registry-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const host = `127.0.0.1:${await freePort()}`;
  const [config, passwords] = [join(folder, 'config.json'), join(folder, 'htpasswd')];
  await writeFile(passwords, `${OWNER.username}:${HASH}\n`);
  await writeFile(
    config,
    // YAML, of which JSON is a part.
    JSON.stringify({
      version: 0.1,
      log: { level: 'warn' },
      storage: { filesystem: { rootdirectory: join(folder, 'images') } },
      http: { addr: host, secret: 'of-the-test' },
      auth: { htpasswd: { realm: 'test', path: passwords } },
    }),
  );
  const server = stack.use(
    await startServer({
      command: requireProgram('docker-registry'),
      args: ['serve', config],
      env: { OTEL_TRACES_EXPORTER: 'none' },
      ready: async () => {
        const { status } = await fetch(`http://${host}/v2/`);
        if (status !== 401) throw new Error(`The registry answers ${status}.`);
      },
    }),
  );
  const opened = stack.move();
  return {
    ...{ host, credentials: OWNER },
    output: () => server.output(),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
