import { createHash, randomUUID } from 'node:crypto';
import {
  type Api,
  type BytesIn,
  type BytesOut,
  PlatformError,
  parseDigestField,
  type Resource,
  type ResourceType,
  type StorageContract,
  storageContract,
  streamOf,
} from '@morpheo/common';
import { refuseAll } from './refuse-all.ts';

/** A result as it was staged. */
export interface Staged {
  readonly type: string;
  readonly uuid: string;
  readonly algo: string | undefined;
  readonly owner?: string | undefined;
  readonly bytes: Buffer;
}

/** The worker's side of storage-api, in memory, with faults on request. */
export class MemoryStorage {
  readonly api: Api<StorageContract>;
  /** By order and attempt, as `order.attempt`. */
  readonly staged = new Map<string, Staged>();
  /** Every range that was asked of a blob, `''` for all of it; by uuid. */
  readonly downloads = new Map<string, string[]>();
  /** The tickets that calls of attempts came with, oldest first. */
  readonly shown: (string | undefined)[] = [];
  /** Which tickets open anything: all of them, and none as well, until it is set. */
  admits: (ticket: string | undefined) => boolean = () => true;
  /** By order: that of its last attempt that has sent one. */
  readonly checkpoints = new Map<string, Buffer>();
  /** While set, calls reject with what it returns for them. */
  fault: (call: 'get' | 'blob' | 'stageResult') => Error | undefined = () => undefined;
  /** What is served in place of a blob's bytes. */
  served: (bytes: Buffer, uuid: string) => Iterable<Uint8Array> | AsyncIterable<Uint8Array> = (bytes) => [
    bytes,
  ];
  readonly #things = new Map<string, { resource: Resource; bytes: Buffer }>();

  constructor() {
    const blob = async (type: ResourceType, uuid: string, range: string | undefined) => {
      this.#fail('blob');
      return this.#serve(this.#thing(type, uuid).bytes, uuid, range);
    };
    this.api = {
      ...refuseAll(storageContract),
      get: async ({ params }) => {
        this.#fail('get');
        return this.#thing(params.type, params.uuid).resource;
      },
      getBlob: ({ params, headers }) => blob(params.type, params.uuid, headers.range),
      getDataBlob: ({ params, headers }) => blob('data', params.uuid, headers.range),
      stageResult: async ({ params, query, body }) => {
        this.#fail('stageResult');
        const bytes = await received(body);
        this.staged.set(`${params.order}.${params.attempt}`, { ...query, algo: query.algo, bytes });
        return { size: bytes.byteLength, sha256: sha256(bytes) };
      },
      putCheckpoint: async ({ params, body }) => {
        const bytes = await received(body);
        this.checkpoints.set(params.order, bytes);
        return { size: bytes.byteLength, sha256: sha256(bytes) };
      },
      getCheckpoint: async ({ params }) => {
        const bytes = this.checkpoints.get(params.order);
        if (bytes !== undefined)
          return { status: 200, headers: {}, body: new Blob([new Uint8Array(bytes)]).stream() };
        throw new PlatformError('not_found', 'There is no checkpoint.');
      },
    };
  }

  /** The API as who shows a ticket sees it. */
  seenBy(ticket: () => string | undefined): Api<StorageContract> {
    const admitted =
      <I, O>(call: (input: I) => Promise<O>) =>
      async (input: I): Promise<O> => {
        const shown = ticket();
        this.shown.push(shown);
        if (!this.admits(shown)) throw new PlatformError('unauthenticated', `${shown} opens nothing.`);
        return await call(input);
      };
    const { get, getBlob, getDataBlob, stageResult, putCheckpoint, getCheckpoint } = this.api;
    return {
      ...this.api,
      get: admitted(get),
      getBlob: admitted(getBlob),
      getDataBlob: admitted(getDataBlob),
      stageResult: admitted(stageResult),
      putCheckpoint: admitted(putCheckpoint),
      getCheckpoint: admitted(getCheckpoint),
    };
  }

  /** Keeps a thing under a fresh id, which is returned. */
  put(
    type: ResourceType,
    content: string | Uint8Array,
    members: { algo?: string; uuid?: string } = {},
  ): string {
    const { uuid = randomUUID(), ...rest } = members;
    const bytes = Buffer.from(content);
    const resource = { uuid, timestamp_upload: 0, size: bytes.byteLength, sha256: sha256(bytes), ...rest };
    this.#things.set(`${type} ${uuid}`, { resource, bytes });
    return uuid;
  }

  /** How often bytes of a thing were asked for. */
  downloadsOf(uuid: string): number {
    return this.downloads.get(uuid)?.length ?? 0;
  }

  #fail(call: 'get' | 'blob' | 'stageResult'): void {
    const fault = this.fault(call);
    if (fault !== undefined) throw fault;
  }

  #thing(type: ResourceType, uuid: string) {
    const thing = this.#things.get(`${type} ${uuid}`);
    if (thing === undefined) throw new PlatformError('not_found', `Error retrieving ${type} ${uuid}`);
    return thing;
  }

  #serve(bytes: Buffer, uuid: string, range: string | undefined): BytesOut {
    this.downloads.set(uuid, [...(this.downloads.get(uuid) ?? []), range ?? '']);
    const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    const rest = this.served(bytes.subarray(start), uuid);
    const body = streamOf(
      (async function* () {
        yield* rest;
      })(),
    );
    if (range === undefined) return { status: 200, headers: {}, body };
    const contentRange = `bytes ${start}-${bytes.byteLength - 1}/${bytes.byteLength}`;
    return { status: 206, headers: { 'content-range': contentRange }, body };
  }
}

/** The bytes of an upload; throws where they are not what their length and digest promise. */
async function received({ body, contentLength, contentDigest }: BytesIn): Promise<Buffer> {
  const bytes = Buffer.concat(await Array.fromAsync(body, (piece) => Buffer.from(piece)));
  const promised = contentDigest === undefined ? null : parseDigestField(contentDigest);
  if (bytes.byteLength === contentLength && sha256(bytes) === promised) return bytes;
  throw new PlatformError('digest_mismatch', 'These are not the bytes that were promised.');
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
