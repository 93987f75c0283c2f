import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Contract,
  CREDENTIAL_ROLES,
  computeContract,
  orchestratorContract,
  type Role,
  storageContract,
} from '@morpheo/common';
import { COMPUTE_DEFAULTS, type ComputeSettings, openComputeService } from '@morpheo/compute-api';
import { type Broker, openMemoryBroker } from '@morpheo/service/broker';
import {
  type Callers,
  createCallers,
  hashSecret,
  type TicketKeys,
  ticketKeysOf,
  ticketSigner,
  ticketVerifier,
} from '@morpheo/service/http';
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
  /** The `Authorization` of the caller with a role; of an attempt a ticket. */
  authorizationOf(role: Role): string;
  /** The same as a client takes it; of another caller by the name. */
  credentialsOf(name: string): { readonly name: string; readonly secret: string };
}

/**
 * Starts them in this process; `settings` are merged over what production has, the broker is one in memory where absent.
 * `others`: further callers by name, with their roles.
 */
export async function openServicesWithRoles(
  settings: Partial<ComputeSettings> = {},
  openBroker: () => Broker = openMemoryBroker,
  others: Readonly<Record<string, readonly Role[]>> = {},
): Promise<ServicesWithRoles> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-roles-'));
  stack.defer(async () => await rm(folder, { recursive: true }));
  const rolesOf = new Map([
    ...CREDENTIAL_ROLES.map((role): [string, readonly Role[]] => [role, [role]]),
    ...Object.entries(others),
  ]);
  const secrets = new Map([...rolesOf.keys()].map((name) => [name, randomUUID()]));
  const keys = ticketKeysOf(randomBytes(32).toString('base64'), 'the key of this test');
  const ticket = await ticketOfNoOrder(keys);
  const callers = await knowing(rolesOf, secrets);
  const credentialsOf = (name: string) => ({ name, secret: secrets.get(name) ?? '' });
  const common = { host: '127.0.0.1', port: 0, callers, version: 'test', log: silentLog };
  const storage = stack.use(
    await openStorageService({
      ...common,
      tickets: ticketVerifier(keys),
      dataFolder: join(folder, 'storage'),
    }),
  );
  const compute = stack.use(
    await openComputeService({
      ...common,
      database: { engine: 'sqlite', file: join(folder, 'compute.db') },
      broker: stack.use(openBroker()),
      storage: { url: storage.url, credentials: credentialsOf('compute') },
      signTicket: ticketSigner(keys),
      anonymousIntake: false,
      settings: { ...COMPUTE_DEFAULTS, ...settings },
    }),
  );
  const orchestrator = stack.use(
    await openOrchestrator({
      ...common,
      authenticate: callers.authenticate,
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
    authorizationOf: (role) => (role === 'attempt' ? ticket : basic(role, secrets.get(role) ?? '')),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

async function knowing(
  rolesOf: ReadonlyMap<string, readonly Role[]>,
  secrets: ReadonlyMap<string, string>,
): Promise<Callers> {
  const entries = [...rolesOf].map(async ([name, roles]) => ({
    name,
    roles: [...roles],
    secretHash: await hashSecret(secrets.get(name) ?? '', { isRandom: true }),
  }));
  return createCallers(await Promise.all(entries));
}

/** What an attempt sends that may read what its order has pinned, which is nothing. */
async function ticketOfNoOrder(keys: TicketKeys): Promise<string> {
  const produces = { type: 'model', uuid: randomUUID() } as const;
  const claims = { order: randomUUID(), attempt: 1, pin: '0'.repeat(64), produces };
  return `Bearer ${await ticketSigner(keys)(claims, new Date(Date.now() + 3_600_000))}`;
}

/** `Basic` credentials (RFC 7617). */
export function basic(name: string, secret: string): string {
  return `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`;
}
