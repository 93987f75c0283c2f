import { writeFile } from 'node:fs/promises';
import {
  type Api,
  type ComputeContract,
  type Contract,
  computeContract,
  PlatformError,
  type StorageContract,
  storageContract,
} from '@morpheo/common';
import {
  type Authenticate,
  type Check,
  createHttpApp,
  credentials,
  type HttpServer,
  hashSecret,
  listen,
} from '@morpheo/service/http';
import { silentLog } from '@morpheo/service/log';
import { temporaryFolder } from './temporary-folder.ts';

/** The parts of a platform that a test stands in for; what it does not name answers 500. */
export interface FakeParts {
  readonly storage?: Partial<Api<StorageContract>>;
  readonly compute?: Partial<Api<ComputeContract>>;
  readonly checks?: Readonly<Record<string, Check>>;
  /** Ports to listen on; any free ones where absent. */
  readonly ports?: { readonly compute?: number };
}

/** A platform of fakes behind real HTTP servers, with a data folder in which the program finds it. */
export interface FakePlatform extends AsyncDisposable {
  /** The environment of a call: MORPHEO_HOME. */
  readonly env: Record<string, string>;
  readonly home: string;
  readonly storage: HttpServer;
  readonly compute: HttpServer;
  readonly credentials: { readonly name: string; readonly secret: string };
}

const ADMIN = { name: 'admin', secret: 'a-secret-of-thirty-two-characters' } as const;

/** Starts a {@link FakePlatform}. */
export async function fakePlatform(parts: FakeParts): Promise<FakePlatform> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const storage = stack.use(await serve(storageContract, parts.storage ?? {}, parts));
  const compute = stack.use(await serve(computeContract, parts.compute ?? {}, parts, parts.ports?.compute));
  const connection = { storage: storage.url, compute: compute.url, credentials: ADMIN };
  await writeFile(folder.file('connection.json'), JSON.stringify(connection), { mode: 0o600 });
  const opened = stack.move();
  return {
    env: { MORPHEO_HOME: folder.path },
    home: folder.path,
    storage,
    compute,
    credentials: ADMIN,
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

/** Serves a fake of an API over HTTP. */
export async function serve<C extends Contract>(
  contract: C,
  api: Partial<Api<C>>,
  { checks = {} }: Pick<FakeParts, 'checks'> = {},
  port = 0,
): Promise<HttpServer> {
  const app = createHttpApp({
    contract,
    api: complete(contract, api),
    info: { name: contract.title, version: '0' },
    checks,
    authenticate: await knownCallers(),
    anonymousIntake: false,
    log: silentLog,
    validateResponses: true,
  });
  return await listen(app, { host: '127.0.0.1', port, log: silentLog, graceMs: 0 });
}

let callers: Promise<Authenticate> | undefined;

/** Hashing a secret takes long on purpose: the tests of a file share the answer. */
function knownCallers(): Promise<Authenticate> {
  callers ??= hashSecret(ADMIN.secret).then((secretHash) =>
    credentials([{ name: ADMIN.name, roles: ['admin'], secretHash }]),
  );
  return callers;
}

function complete<C extends Contract>(contract: C, api: Partial<Api<C>>): Api<C> {
  const missing = (name: string) => () => {
    throw new PlatformError('internal', `The test does not expect ${name}.`);
  };
  const names = Object.keys(contract.endpoints) as (keyof Api<C>)[];
  return Object.fromEntries(
    names.map((name) => [name, api[name] ?? missing(String(name))]),
  ) as unknown as Api<C>;
}
