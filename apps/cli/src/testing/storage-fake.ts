import { createHash } from 'node:crypto';
import {
  type Api,
  type BytesOut,
  formatDigestField,
  measured,
  PlatformError,
  type Resource,
  type ResourceType,
  type StorageContract,
} from '@morpheo/common';
import { rawTar } from '@morpheo/service/archive/testing';

/** A storage in memory, as far as the commands use one. */
export interface FakeStorage {
  readonly api: Partial<Api<StorageContract>>;
  /** What is kept, newest first. */
  readonly kept: { readonly type: ResourceType; readonly resource: Resource; readonly bytes: Uint8Array }[];
  /** The `range` of each download so far; empty where there was none. */
  readonly ranges: string[];
  /** What the form of each upload said, and the digest that went with a model. */
  readonly forms: Record<string, string>[];
  readonly add: (type: ResourceType, bytes: Uint8Array, changes?: Partial<Resource>) => Resource;
  /** Keeps an output of a job with these files, by path. */
  readonly addOutput: (files: Readonly<Record<string, string>>, changes?: Partial<Resource>) => Resource;
  /** How the bytes leave; tests cut or falsify them here. */
  send: (bytes: Uint8Array) => ReadableStream<Uint8Array>;
}

/** Makes a {@link FakeStorage}. */
export function fakeStorage(): FakeStorage {
  const kept: FakeStorage['kept'] = [];
  const ranges: string[] = [];
  const forms: Record<string, string>[] = [];
  const find = (type: string, uuid: string) => {
    const found = kept.find((item) => item.type === type && item.resource.uuid === uuid);
    if (found === undefined)
      throw new PlatformError('not_found', `Error retrieving ${type} ${uuid}: sql: no rows in result set`);
    return found;
  };
  const add: FakeStorage['add'] = (type, bytes, changes = {}) => {
    const uuid = changes.uuid ?? crypto.randomUUID();
    if (kept.some(({ resource }) => resource.uuid === uuid)) {
      throw new PlatformError('conflict', `[${type}] UUID ${uuid} already exist in table '${type}'`);
    }
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const resource = { uuid, timestamp_upload: 1_763_826_660, size: bytes.byteLength, sha256, ...changes };
    kept.unshift({ type, resource, bytes });
    return resource;
  };
  const outputs = new Map<string, Readonly<Record<string, string>>>();
  const addOutput: FakeStorage['addOutput'] = (files, changes) => {
    const tar = rawTar(Object.entries(files).map(([name, body]) => ({ name, body })));
    const resource = add('output', tar, changes);
    outputs.set(resource.uuid, files);
    return resource;
  };
  const filesOf = (uuid: string) => outputs.get(find('output', uuid).resource.uuid) ?? {};
  const fileOf = (uuid: string, path: string) => {
    const body = filesOf(uuid)[path];
    if (body === undefined) throw new PlatformError('not_found', `The output ${uuid} has no file ${path}.`);
    const sha256 = createHash('sha256').update(body).digest('hex');
    return { path, size: Buffer.byteLength(body), sha256 };
  };
  const blob = (type: string, uuid: string, range: string | undefined): BytesOut => {
    const { resource, bytes } = find(type, uuid);
    return send(bytes, measured(resource).sha256, range);
  };
  const send = (bytes: Uint8Array, sha256: string, range: string | undefined): BytesOut => {
    ranges.push(range ?? '');
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    const headers = { 'repr-digest': formatDigestField(sha256) };
    return { status: from > 0 ? 206 : 200, headers, body: fake.send(bytes.subarray(from)) };
  };
  const api: Partial<Api<StorageContract>> = {
    list: async ({ params: { type } }) => {
      const items = kept.filter((item) => item.type === type).map((item) => item.resource);
      return { items, length: items.length, page: 0, total: items.length };
    },
    get: async ({ params }) => find(params.type, params.uuid).resource,
    getBlob: async ({ params, headers }) => blob(params.type, params.uuid, headers.range),
    listOutputFiles: async ({ params: { uuid }, query: { prefix = '', cursor = '', limit = 2 } }) => {
      const paths = Object.keys(filesOf(uuid)).filter((path) => path.startsWith(prefix) && path > cursor);
      const items = paths
        .toSorted((a, b) => (a < b ? -1 : 1))
        .slice(0, limit)
        .map((path) => fileOf(uuid, path));
      return { items, ...(paths.length > limit ? { next: items.at(-1)?.path } : {}) };
    },
    getOutputFile: async ({ params: { uuid }, query: { path }, headers: { range } }) =>
      send(Buffer.from(filesOf(uuid)[path] ?? ''), fileOf(uuid, path).sha256, range),
    getDataBlob: async ({ params, headers }) => blob('data', params.uuid, headers.range),
    upload: async ({ params, body }) => {
      const { fields, bytes } = await readForm(body.contentType ?? '', body.body);
      forms.push(fields);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      if (fields.sha256 !== sha256)
        throw new PlatformError('digest_mismatch', 'The bytes have another digest.');
      const { uuid, name, description } = fields;
      return add(params.type, bytes, {
        ...(uuid === undefined ? {} : { uuid }),
        ...(name === undefined ? {} : { name }),
        ...(description === undefined ? {} : { description }),
      });
    },
    uploadModel: async ({ query, body }) => {
      const bytes = await collect(body.body);
      forms.push({
        digest: body.contentDigest ?? '',
        length: String(body.contentLength),
        algo: query.algo ?? '',
      });
      return add('model', bytes, { ...(query.algo === undefined ? {} : { algo: query.algo }) });
    },
  };
  const fake: FakeStorage = {
    api,
    kept,
    ranges,
    forms,
    add,
    addOutput,
    send: (bytes) => new Blob([Buffer.from(bytes)]).stream(),
  };
  return fake;
}

async function readForm(contentType: string, body: AsyncIterable<Uint8Array>) {
  const bytes = await collect(body);
  const form = await new Response(Buffer.from(bytes), {
    headers: { 'content-type': contentType },
  }).formData();
  const entries = [...form.entries()];
  const fields = Object.fromEntries(
    entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
  const blob = form.get('blob');
  if (blob === null || typeof blob === 'string')
    throw new PlatformError('invalid_upload', 'There is no blob.');
  return { fields, bytes: new Uint8Array(await blob.arrayBuffer()) };
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return Buffer.concat(await Array.fromAsync(body, (piece) => Buffer.from(piece)));
}
