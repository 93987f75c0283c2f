import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { CREDENTIAL_ROLES, type Role } from '@morpheo/common';
import { quickFolder } from '@morpheo/real-parts';
import { type CredentialEntry, createCallers, hashSecret } from '@morpheo/service/http';
import { silentLog } from '@morpheo/service/log';
import { openStorageService, type StorageService, type StorageServiceOptions } from '../service.ts';

/** Who calls a {@link TestService}: somebody with the role of that name, or an uploader whose name is `other`. */
export type TestCaller = Role | 'other';

/** A service in a temporary folder that knows every {@link TestCaller}. */
export interface TestService extends StorageService {
  readonly folder: string;
  /** Calls it as somebody; null: without credentials. */
  call(caller: TestCaller | null, path: string, init?: RequestInit): Promise<Response>;
  /** Writes these bytes to a connection of their own, and hands on what comes back until it is closed. */
  send(bytes: string | Buffer): Promise<string>;
  /** How many files are in staging. */
  staged(): Promise<number>;
}

/** The `Authorization` field of a caller. */
export function basic(caller: TestCaller): string {
  return `Basic ${Buffer.from(`${caller}:secret`).toString('base64')}`;
}

const byName: Promise<CredentialEntry[]> = Promise.all(
  [...CREDENTIAL_ROLES, 'other' as const].map(async (name) => ({
    name,
    roles: [name === 'other' ? 'uploader' : name],
    secretHash: await hashSecret('secret', { isRandom: true }),
  })),
);

/** Opens a service; `folder` is one that is there already, and stays. */
export async function openTestService(
  options: Partial<StorageServiceOptions> = {},
  given?: string,
): Promise<TestService> {
  await using stack = new AsyncDisposableStack();
  const folder = given ?? (await mkdtemp(join(quickFolder(), 'storage-service-')));
  if (given === undefined) stack.defer(() => rm(folder, { recursive: true }));
  const service = stack.use(
    await openStorageService({
      host: '127.0.0.1',
      port: 0,
      dataFolder: folder,
      callers: createCallers(await byName),
      version: '0.0.0',
      log: silentLog,
      ...options,
    }),
  );
  const opened = stack.move();
  return {
    ...service,
    folder,
    call: (caller, path, init = {}) =>
      fetch(service.url + path, {
        ...init,
        headers: { ...init.headers, ...(caller === null ? {} : { authorization: basic(caller) }) },
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
