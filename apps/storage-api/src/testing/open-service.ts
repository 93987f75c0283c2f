import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Role } from '@morpheo/common';
import type { Authenticate } from '@morpheo/service/http';
import { silentLog } from '@morpheo/service/log';
import { openStorageService, type StorageService, type StorageServiceOptions } from '../service.ts';

/** A service in a temporary folder that knows every role by its name: `admin`, `worker` and so on. */
export interface TestService extends StorageService {
  readonly folder: string;
  /** Calls it as `role`; null: without credentials. */
  call(role: Role | null, path: string, init?: RequestInit): Promise<Response>;
  /** Writes these bytes to a connection of their own, and hands on what comes back until it is closed. */
  send(bytes: string | Buffer): Promise<string>;
  /** How many files are in staging. */
  staged(): Promise<number>;
}

/** The `Authorization` field of a role. */
export function basic(role: Role): string {
  return `Basic ${Buffer.from(`${role}:secret`).toString('base64')}`;
}

const byRole: Authenticate = async (field) => {
  const roles: readonly Role[] = ['admin', 'orchestrator', 'worker', 'uploader', 'reader'];
  const role = roles.find((name) => field === basic(name));
  return role === undefined ? null : { name: role, roles: [role] };
};

/** Opens a service; `folder` is one that is there already, and stays. */
export async function openTestService(
  options: Partial<StorageServiceOptions> = {},
  given?: string,
): Promise<TestService> {
  await using stack = new AsyncDisposableStack();
  const folder = given ?? (await mkdtemp(join(tmpdir(), 'storage-service-')));
  if (given === undefined) stack.defer(() => rm(folder, { recursive: true }));
  const service = stack.use(
    await openStorageService({
      host: '127.0.0.1',
      port: 0,
      dataFolder: folder,
      authenticate: byRole,
      version: '0.0.0',
      log: silentLog,
      ...options,
    }),
  );
  const opened = stack.move();
  return {
    ...service,
    folder,
    call: (role, path, init = {}) =>
      fetch(service.url + path, {
        ...init,
        headers: { ...init.headers, ...(role === null ? {} : { authorization: basic(role) }) },
      }),
    send: async (bytes) => {
      const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
      socket.write(bytes);
      return await text(socket);
    },
    staged: async () => (await readdir(join(folder, 'staging'))).length,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
