import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Contract,
  computeContract,
  orchestratorContract,
  ROLES,
  type Role,
  storageContract,
} from '@morpheo/common';
import { COMPUTE_DEFAULTS, type ComputeSettings, openComputeService } from '@morpheo/compute-api';
import { type Broker, openMemoryBroker } from '@morpheo/service/broker';
import { type Authenticate, credentials, hashSecret } from '@morpheo/service/http';
import { silentLog } from '@morpheo/service/log';
import { openStorageService } from '@morpheo/storage-api';
import { openOrchestrator } from '../orchestrator/service.ts';

/** A service that listens, and the contract that it serves. */
export interface ServedContract {
  readonly name: string;
  readonly url: string;
  readonly contract: Contract;
}

/** The services, empty, with one caller for each role: the caller has the name of the role. */
export interface ServicesWithRoles extends AsyncDisposable {
  readonly services: readonly ServedContract[];
  /** The `Authorization` of the caller with a role. */
  authorizationOf(role: Role): string;
  /** The same as a client takes it. */
  credentialsOf(role: Role): { readonly name: string; readonly secret: string };
}

/** Starts them in this process; `patience` is merged over what production has, the broker is one in memory where absent. */
export async function openServicesWithRoles(
  patience: Partial<ComputeSettings> = {},
  openBroker: () => Broker = openMemoryBroker,
): Promise<ServicesWithRoles> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-roles-'));
  stack.defer(async () => await rm(folder, { recursive: true }));
  const secrets = new Map<Role, string>(ROLES.map((role) => [role, randomUUID()]));
  const authenticate = await knowing(secrets);
  const credentialsOf = (role: Role) => ({ name: role, secret: secrets.get(role) ?? '' });
  const common = { host: '127.0.0.1', port: 0, authenticate, version: 'test', log: silentLog };
  const storage = stack.use(await openStorageService({ ...common, dataFolder: join(folder, 'storage') }));
  const compute = stack.use(
    await openComputeService({
      ...common,
      database: { engine: 'sqlite', file: join(folder, 'compute.db') },
      broker: stack.use(openBroker()),
      storage: { url: storage.url, credentials: credentialsOf('orchestrator') },
      anonymousIntake: false,
      settings: { ...COMPUTE_DEFAULTS, ...patience },
    }),
  );
  const orchestrator = stack.use(
    await openOrchestrator({
      ...common,
      databaseFile: join(folder, 'orchestrator.db'),
      compute: () => undefined,
      everyMs: 60_000,
    }),
  );
  const opened = stack.move();
  return {
    services: [
      { name: 'storage-api', url: storage.url, contract: storageContract },
      { name: 'compute-api', url: compute.url, contract: computeContract },
      { name: 'orchestrator', url: orchestrator.url, contract: orchestratorContract },
    ],
    credentialsOf,
    authorizationOf: (role) => basic(role, secrets.get(role) ?? ''),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

async function knowing(secrets: ReadonlyMap<Role, string>): Promise<Authenticate> {
  const entries = [...secrets].map(async ([role, secret]) => ({
    name: role,
    roles: [role],
    secretHash: await hashSecret(secret, { isRandom: true }),
  }));
  return credentials(await Promise.all(entries));
}

/** `Basic` credentials (RFC 7617). */
export function basic(name: string, secret: string): string {
  return `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`;
}
