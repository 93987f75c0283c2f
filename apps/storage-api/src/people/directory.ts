import { createHash } from 'node:crypto';
import { type BytesOut, type Directory, KeyedLock } from '@morpheo/common';
import { type Callers, directoryEntries, tellShadowed } from '@morpheo/service/http';
import type { Log } from '@morpheo/service/log';
import type { StorageDatabase, StorageTransaction } from '../metadata/schema.ts';
import { rolesOf } from './schema.ts';

/** The channel on which storage-apis of one database tell one another that people have changed. */
export const PEOPLE_CHANNEL = 'people';

/** Whom this service lets in, and what other services are told of it. */
export interface PeopleDirectory {
  /** Reads the people and lets in those who are there now. Resolves when nobody else is let in any more. */
  refresh(): Promise<void>;
  /** What is to be done after every change of people: {@link refresh}, and other storage-apis hear of it. */
  changed(): Promise<void>;
  /** The answer to a service that has heard the version `known`. */
  answer(known: string | undefined): Promise<BytesOut>;
}

interface Version {
  readonly text: string;
  readonly etag: string;
}

/** Makes the {@link PeopleDirectory}; the people are put among `callers`, where there are such. */
export function createPeopleDirectory(
  database: StorageDatabase,
  callers: Pick<Callers, 'replace'> | undefined,
  log: Log,
): PeopleDirectory {
  let last: Version | undefined;
  // One at a time: else an older look at the database could be put in the place of a newer one.
  const turns = new KeyedLock();
  const refresh = async (): Promise<Version> => {
    using _ = await turns.hold('people');
    const directory = await readDirectory(database.read);
    const text = JSON.stringify(directory);
    const etag = `"${createHash('sha256').update(text).digest('hex')}"`;
    if (last?.etag !== etag) {
      tellShadowed(log, callers?.replace('people', directoryEntries(directory)) ?? []);
      last = { text, etag };
    }
    return last;
  };
  return {
    refresh: async () => void (await refresh()),
    async changed() {
      database.notify(PEOPLE_CHANNEL, '');
      await refresh();
    },
    async answer(known) {
      const { text, etag } = await refresh();
      const headers = { etag, 'cache-control': 'no-cache' };
      if (known?.split(',').some((one) => one.trim().replace(/^W\//, '') === etag) === true) {
        return { status: 304, headers };
      }
      const bytes = new TextEncoder().encode(text);
      const described = {
        ...headers,
        'content-type': 'application/json',
        'content-length': `${bytes.length}`,
      };
      return { status: 200, headers: described, body: new Blob([bytes]).stream() };
    },
  };
}

async function readDirectory(transaction: StorageTransaction): Promise<Directory> {
  const rows = await transaction
    .selectFrom('people as p')
    .leftJoin('people_tokens as t', 't.person', 'p.name')
    .select(['p.name', 'p.roles', 't.id', 't.secret_hash'])
    .where('p.removed_at', 'is', null)
    .orderBy('p.name')
    .orderBy('t.id')
    .execute();
  const people = new Map<string, Directory['people'][number]>();
  for (const row of rows) {
    const person = people.get(row.name) ?? { name: row.name, roles: rolesOf(row), tokens: [] };
    people.set(row.name, person);
    if (row.id !== null && row.secret_hash !== null) {
      person.tokens.push({ id: row.id, secret_hash: row.secret_hash });
    }
  }
  return { people: [...people.values()] };
}
