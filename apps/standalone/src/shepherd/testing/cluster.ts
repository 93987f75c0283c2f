import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeClient, storageClient } from '@morpheo/client';
import { type Flags, freePorts, mainOf, ServiceProcess } from '@morpheo/real-parts';
import { credentialEntries, makeTicketKeyFile, readOrMakeSecrets } from '../../secrets.ts';
import { uploadEcho } from './echo.ts';

/** A platform with Shepherd's API, each service a process of its own, two workers among them. */
export interface ShepherdCluster extends AsyncDisposable {
  /** Where Shepherd listens. */
  readonly url: string;
  readonly compute: ReturnType<typeof computeClient>;
  /** The name of the model that answers `{"input": x}` with `{"result": x}`. */
  readonly model: string;
  /** What may be killed, by name; each is ready again when `restart` resolves. */
  readonly mortal: Readonly<Record<string, ServiceProcess>>;
  restart(name: string): Promise<void>;
}

/** Starts it, with the model on its storage. */
export async function openShepherdCluster(): Promise<ShepherdCluster> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-shepherd-'));
  stack.defer(async () => await rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  const secrets = await readOrMakeSecrets(folder);
  const credentials = join(folder, 'credentials.json');
  await writeFile(credentials, JSON.stringify(await credentialEntries(secrets)));
  const [s = 0, c = 0, port = 0] = await freePorts(3);
  const at = (number: number) => `http://127.0.0.1:${number}`;
  const api = {
    credentials,
    'ticket-key-file': await makeTicketKeyFile(folder),
    'log-level': 'error',
  };
  const start = (app: Parameters<typeof mainOf>[0], ready: string | undefined, flags: Flags) =>
    stack.use(
      new ServiceProcess({
        ...{ main: mainOf(app), flags, output: 'show' },
        ...(ready !== undefined && { ready: `${ready}/health` }),
      }),
    );
  const peers = (name: 'worker' | 'shepherd') => ({
    ...{ compute: at(c), 'compute-user': name, 'compute-password': secrets[name] },
    ...{ storage: at(s), 'storage-user': name, 'storage-password': secrets[name] },
  });
  const storage = start('storage-api', at(s), {
    ...{ ...api, port: s, 'data-dir': join(folder, 'storage') },
    ...{ 'default-visibility': 'open', 'anonymous-grants': 'all', outputs: 'open' },
  });
  const compute = start('compute-api', at(c), {
    ...{ ...api, port: c, 'data-dir': join(folder, 'compute'), broker: 'memory', attempts: 1000 },
    ...{ storage: at(s), 'storage-user': 'compute-api', 'storage-password': secrets['compute-api'] },
    callbacks: `${at(port)}/v1/ended/`,
  });
  const worker = (name: string) =>
    start('compute-worker', undefined, {
      ...{ ...peers('worker'), name, 'data-dir': join(folder, name), runtime: 'process' },
      ...{ poll: '100ms', 'job-parallelism': 4, 'log-level': 'error' },
    });
  const shepherd = start('shepherd', at(port), {
    ...{ ...peers('shepherd'), port, 'data-dir': join(folder, 'shepherd') },
    ...{ protocol: 'runner', 'log-level': 'error' },
  });
  const mortal = { shepherd, compute, first: worker('first'), second: worker('second') };
  await storage.start();
  for (const one of Object.values(mortal)) await one.start();
  const admin = { credentials: { name: 'admin', secret: secrets.admin } };
  const model = await uploadEcho(storageClient({ url: at(s), ...admin }));
  const opened = stack.move();
  return {
    ...{ url: at(port), compute: computeClient({ url: at(c), ...admin }), model, mortal },
    restart: async (name) => {
      const one = Object.entries(mortal).find(([its]) => its === name)?.[1];
      await one?.kill();
      await one?.start();
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}
