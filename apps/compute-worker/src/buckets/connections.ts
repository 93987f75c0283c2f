import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type BucketPlace, OrderFailure, PlatformError } from '@morpheo/common';
import type { BucketCredentials, BucketOptions, BucketWords, Calls } from '@morpheo/service/buckets';
import { GOOGLE_OPTIONS } from '@morpheo/service/buckets/options';
import { Secret } from '@morpheo/service/config';
import { type Follow, watchFiles } from '@morpheo/service/lifecycle';
import type { Log } from '@morpheo/service/log';
import type { z } from 'zod';
import { type Connection, connectionFile, keyFile, type Use } from './connection-file.ts';
import { folderOf, placeName, requirePrefix } from './places.ts';

/** A folder of a bucket, open for one use. Disposing closes its connections. */
export interface OpenPlace extends Disposable {
  readonly calls: Calls;
  /** What all keys begin with: empty, or ending with a slash. */
  readonly base: string;
  /** Whether the server keeps a condition of a put. */
  readonly conditionalPuts: boolean;
  /** The name of its connection. */
  readonly connection: string;
  /** It, or a thing below it, as it may be shown: without the endpoint, the bucket or the operator's own prefix. */
  name(path?: string): string;
}

/** Whose order it is, and what it wants of a bucket. */
export interface Access {
  /** Undefined: nobody's. */
  readonly owner: string | undefined;
  readonly use: Use;
}

/** The buckets that jobs may name. */
export interface Connections {
  readonly names: readonly string[];
  /**
   * Opens a place for an owner; nothing is sent yet. Throws `OrderFailure` (`bucket_refused`) where there is no such
   * connection or the owner may not use it so, in the same words, and (`prefix_unusable`) where the prefix is no plain path.
   */
  open(place: BucketPlace, access: Access): Promise<OpenPlace>;
  /** Where a place is, to compare it with others: the same text for the same place. Throws as `open` does. */
  locate(place: BucketPlace, access: Access): string;
  /** Makes sure that each bucket answers, and may be listed; rejects with what is wrong with the first that does not. */
  check(signal: AbortSignal): Promise<void>;
}

/**
 * The connections of the file at `path`, which is read again when it changes: what is used later is as the file says
 * then. Their keys are read from their own files as they are needed. Throws `invalid_request` where the file, or one that it
 * names, is no good; later that is a warning, and what was read before holds on. No file: no connections.
 */
export async function openConnections(path: string | undefined, follow: Follow): Promise<Connections> {
  if (path === undefined) return new FileConnections(follow.log, () => new Map());
  let now: ReadonlyMap<string, Connection> = new Map();
  const { log, stack, everyMs } = follow;
  const changed = async ([text = '']: readonly string[]): Promise<void> => {
    const read = readConnections(path, text);
    for (const connection of read.values()) await requireFiles(connection);
    now = read;
  };
  stack.use(await watchFiles({ name: 'connections of --buckets', paths: [path], changed, everyMs, log }));
  return new FileConnections(log, () => now);
}

/** The connections that a text says, with the paths in it as seen from the file's folder. */
function readConnections(path: string, text: string): Map<string, Connection> {
  const at = (file: string | undefined) => (file === undefined ? undefined : resolve(dirname(path), file));
  const read = readJson('--buckets', path, text, connectionFile);
  return new Map(
    Object.entries(read).map(([name, one]) => [
      name,
      { ...one, credentials: at(one.credentials), ca: at(one.ca) },
    ]),
  );
}

/** Throws `invalid_request`, never with a word of the text, which may hold keys. */
function readJson<T>(setting: string, path: string, text: string, schema: z.ZodType<T>): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new PlatformError('invalid_request', `${setting}: the file ${path} is no JSON.`);
  }
  const read = schema.safeParse(json);
  if (read.success) return read.data;
  const problems = read.error.issues
    .flatMap((issue) => (issue.code === 'invalid_key' ? issue.issues : issue))
    .map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    .join('; ');
  throw new PlatformError('invalid_request', `${setting}: the file ${path} is no good: ${problems}.`);
}

async function requireFiles({ credentials, ca }: Connection): Promise<void> {
  if (credentials !== undefined) await readKeys(credentials);
  if (ca !== undefined) await readText(ca);
}

async function readKeys(path: string): Promise<BucketCredentials> {
  const keys = readJson('--buckets', path, await readText(path), keyFile);
  return {
    accessKeyId: keys.access_key,
    secretAccessKey: new Secret(keys.secret_key),
    sessionToken: keys.session_token === undefined ? undefined : new Secret(keys.session_token),
  };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new PlatformError('invalid_request', `--buckets names the file ${path}, which cannot be read.`, {
      cause,
    });
  }
}

class FileConnections implements Connections {
  readonly #log: Log;
  readonly #now: () => ReadonlyMap<string, Connection>;

  constructor(log: Log, now: () => ReadonlyMap<string, Connection>) {
    this.#log = log;
    this.#now = now;
  }

  get names(): readonly string[] {
    return [...this.#now().keys()];
  }

  async open(place: BucketPlace, access: Access): Promise<OpenPlace> {
    const connection = this.#allowed(place, access);
    const calls = await this.#connect(place.connection, connection);
    return {
      calls,
      base: connection.prefix + folderOf(place.prefix),
      conditionalPuts: connection.kind === 's3',
      connection: place.connection,
      name: (path = '') => placeName(place, path),
      [Symbol.dispose]: () => calls[Symbol.dispose](),
    };
  }

  locate(place: BucketPlace, access: Access): string {
    const { endpoint, kind, bucket, prefix } = this.#allowed(place, access);
    const server = endpoint ?? (kind === 'gcs' ? GOOGLE_OPTIONS.endpoint : 'AWS');
    return `${server}/${bucket}/${prefix}${folderOf(place.prefix)}`;
  }

  async check(signal: AbortSignal): Promise<void> {
    const { pingBucket } = await import('@morpheo/service/buckets');
    for (const [name, connection] of this.#now()) {
      using calls = await this.#connect(name, connection);
      await pingBucket(calls, connection.prefix, signal);
    }
  }

  #allowed(place: BucketPlace, { owner, use }: Access): Connection {
    const { connection: name } = place;
    const connection = this.#now().get(name);
    const who = connection?.[use] ?? [];
    if (connection !== undefined && (who === '*' || (owner !== undefined && who.includes(owner)))) {
      requirePrefix(place);
      return connection;
    }
    const asked = use === 'read' ? 'read from' : 'write to';
    const message = `The owner of the order may not ${asked} the bucket connection ${name}, or there is none of this name.`;
    throw new OrderFailure('bucket_refused', { message });
  }

  /** The vendor's client is loaded for those who use it. */
  async #connect(name: string, connection: Connection): Promise<Calls> {
    const { openCalls } = await import('@morpheo/service/buckets');
    return openCalls(await optionsOf(name, connection, this.#log));
  }
}

async function optionsOf(name: string, connection: Connection, log: Log): Promise<BucketOptions> {
  const { kind, bucket, region, endpoint, path_style: pathStyle, checksums, sse, sse_key: key } = connection;
  const { ca, credentials } = connection;
  const usual = kind === 'gcs' ? GOOGLE_OPTIONS : undefined;
  return {
    ...{ bucket, pathStyle, log },
    region: region ?? usual?.region,
    endpoint: endpoint ?? usual?.endpoint,
    checksums: checksums ?? usual?.checksums,
    encryption: sse === undefined ? undefined : { kind: sse, key },
    ca: ca === undefined ? undefined : await readText(ca),
    credentials: credentials === undefined ? undefined : async () => await readKeys(credentials),
    words: wordsOf(name),
  };
}

function wordsOf(name: string): BucketWords {
  return {
    subject: `The bucket connection ${name}`,
    keys: 'its credentials',
    endpoint: 'its endpoint',
    region: 'its region',
    ca: 'its ca',
    withoutChecksums: '"checksums": "when-required"',
    encryption: 'its sse',
    noBucket: 'create it, or correct its name in the file of --buckets',
    badName: 'correct it in the file of --buckets',
    rights: 'list and read, and for outputs to write and delete, below the prefix',
    denied: 'forbidden',
  };
}
