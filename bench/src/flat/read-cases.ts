import { computeContract, storageContract } from '@morpheo/common';
import type { Asker } from './read-server.ts';
import { createdAt, ID, PROBLEMS, type SeededOrders } from './seed-compute.ts';
import { THING } from './seed-storage.ts';
import { idOf } from './seeding.ts';

/** A call that reads, and how long it may take. */
export interface ReadCase {
  /** The name of its route in the contract; absent for what every service answers. */
  readonly route?: string;
  readonly name: string;
  readonly path: string;
  /** `GET` where absent. */
  readonly method?: 'HEAD';
  /** An admin where absent. */
  readonly as?: Asker;
  readonly headers?: Readonly<Record<string, string>>;
  /** What it is to be answered with; 200 where absent. */
  readonly status?: number;
}

/** A page of a list may take this long, any other read half of it, in milliseconds. */
export const MOST_MS = { list: 100, other: 50 };

/** True for a page of a list. */
export function isList({ name }: Pick<ReadCase, 'name'>): boolean {
  return name.startsWith('list');
}

/** What everybody may read of compute-api among the seeded orders. */
export function computeCases(orders: SeededOrders): ReadCase[] {
  const { count, due } = orders;
  // The last ten of those that have ended: a prediction that is done, among others.
  const done = count - due - 102;
  const order = `/v1/orders/${idOf(ID.order, done)}`;
  const queued = `/v1/orders/${idOf(ID.order, count - Math.floor(due / 2))}`;
  const middle = Math.floor(count / 2);
  const list = (name: string, query: string, as?: Asker): ReadCase => ({
    ...{ route: 'listOrders', name: `list, ${name}`, path: `/v1/orders?${query}` },
    ...(as === undefined ? {} : { as }),
  });
  const algo = `algo=${idOf(ID.algo, 7)}`;
  const group = 'group-0?owner=owner-7';
  return [
    { route: 'index', name: 'index', path: '/' },
    list('first page', ''),
    list('in the middle', `cursor=${createdAt(orders, middle)}.${idOf(ID.order, middle)}`),
    list('done', 'status=done'),
    list('failed', 'status=failed'),
    list('waiting (none)', 'status=waiting'),
    list('kind=learn', 'kind=learn'),
    list('kind=job, pending', 'kind=job&status=pending'),
    list('kind=job, failed', 'kind=job&status=failed'),
    list('of a problem', `problem=${idOf(ID.problem, PROBLEMS / 2)}`),
    list('of an algo', algo),
    list('of an algo, failed', `${algo}&status=failed`),
    list('of an algo, waiting (none)', `${algo}&status=waiting`),
    list('of an owner', 'owner=owner-7'),
    list('of an owner, failed', 'owner=owner-7&status=failed'),
    list('of an owner, waiting (none)', 'owner=owner-7&status=waiting'),
    list('of an owner, kind=learn', 'owner=owner-7&kind=learn'),
    list('of a group', 'group=group-0&owner=owner-7'),
    list('with a label', 'label=run%3D3'),
    list('with a label, of its owner', 'label=run%3D3', 'owner'),
    { route: 'getOrder', name: 'order, done', path: order },
    { route: 'getOrder', name: 'order, queued', path: queued },
    { route: 'getOrder', name: 'order, none of the id', path: `/v1/orders/${idOf(ID.data, 1)}`, status: 404 },
    { route: 'orderEvents', name: 'history', path: `${order}/events` },
    { route: 'orderLog', name: 'log', path: `${order}/log` },
    { route: 'orderLogEvents', name: 'log as events', path: `${order}/log/events` },
    { route: 'whyOrder', name: 'why, queued', path: `${queued}/why` },
    {
      route: 'getProblemDefaults',
      name: 'defaults of a problem',
      path: `/v1/problems/${idOf(ID.problem, 1)}/defaults`,
    },
    { route: 'listOwners', name: 'list, owners', path: '/v1/owners' },
    { route: 'getOwner', name: 'owner', path: '/v1/owners/owner-7' },
    { route: 'listWorkers', name: 'list, workers', path: '/v1/workers' },
    { route: 'getQueue', name: 'queue', path: '/v1/queue' },
    { route: 'listOrderGroups', name: 'list, groups', path: '/v1/groups?owner=owner-7' },
    { route: 'getOrderGroup', name: 'group', path: `/v1/groups/${group}` },
    { route: 'planRemoval', name: 'plan of a removal', path: '/v1/retention' },
    ...OF_EVERY_SERVICE,
  ];
}

const OF_EVERY_SERVICE: readonly ReadCase[] = [
  { name: 'metrics', path: '/metrics' },
  { name: 'health', path: '/health' },
  { name: 'ready', path: '/ready' },
];

/** A data set and a model with bytes, and a resumable upload, that came after the seeding. */
export interface Uploaded {
  readonly data: string;
  readonly model: string;
  readonly upload: string;
}

/** What everybody may read of storage-api among the seeded things. */
export function storageCases(count: number, { data, model, upload }: Uploaded): ReadCase[] {
  const list = (name: string, path: string, as?: Asker): ReadCase => ({
    ...{ route: 'list', name: `list, ${name}`, path },
    ...(as === undefined ? {} : { as }),
  });
  const cursor = Buffer.from(`${Math.floor(count / 2)}.${idOf(THING, Math.floor(count / 2))}`).toString(
    'base64url',
  );
  const deep = Math.floor(count / 4 / 30);
  return [
    { route: 'index', name: 'index', path: '/' },
    { route: 'usage', name: 'usage', path: '/v1/usage' },
    { route: 'usage', name: 'usage, of an owner', path: '/v1/usage', as: 'owner' },
    list('first page', '/data'),
    list('by cursor, in the middle', `/data?cursor=${cursor}`),
    list('by number, in the middle', `/data?page=${deep}`),
    list('models of an algo', `/model?algo=${idOf(THING, 190)}`),
    list('first page, for an owner', '/data', 'owner'),
    list('by number, in the middle, for an owner', `/data?page=${Math.floor(deep / 10)}`, 'owner'),
    list('predictions, for an owner', '/prediction', 'owner'),
    list('predictions, for a stranger (none)', '/prediction', 'stranger'),
    { route: 'get', name: 'thing', path: `/model/${model}` },
    { route: 'getDataBlob', name: 'bytes of data', path: `/data/${data}/blob` },
    { route: 'headDataBlob', name: 'head of data', path: `/data/${data}/blob`, method: 'HEAD' },
    { route: 'getBlob', name: 'bytes of a model', path: `/model/${model}/blob` },
    { route: 'headBlob', name: 'head of a model', path: `/model/${model}/blob`, method: 'HEAD' },
    { route: 'getPermissions', name: 'permissions', path: `/v1/permissions/data/${data}` },
    { route: 'getDirectory', name: 'directory', path: '/v1/directory' },
    { route: 'listPeople', name: 'list, people', path: '/v1/people' },
    { route: 'getPerson', name: 'person (none)', path: '/v1/people/nobody', status: 404 },
    { route: 'listTokens', name: 'tokens (none)', path: '/v1/people/nobody/tokens', status: 404 },
    { route: 'listGroups', name: 'list, groups of people', path: '/v1/groups' },
    { route: 'getGroup', name: 'group of people (none)', path: '/v1/groups/nobody', status: 404 },
    {
      route: 'headUpload',
      name: 'head of an upload',
      path: `/v1/uploads/${upload}`,
      method: 'HEAD',
      headers: { 'tus-resumable': '1.0.0' },
    },
    ...OF_EVERY_SERVICE,
  ];
}

/** Routes that read and have no case, and why. */
const WITHOUT: Readonly<Record<string, string>> = {
  orderGroupEvents: 'is a stream, which begins with what `getOrderGroup` reads',
  getCheckpoint: 'is for the ticket of an attempt',
  pinnedInputs: 'is for the ticket of an attempt',
  listOutputFiles: 'reads one row by the digest of an output',
  getOutputFile: 'reads one row by the digest of an output',
  headOutputFile: 'reads one row by the digest of an output',
};

/** The routes of both contracts that read, and that no case calls: each is named, so that a new one is not forgotten. */
export function routesWithoutCase(cases: readonly ReadCase[]): string[] {
  const called = new Set(cases.flatMap(({ route }) => route ?? []));
  const routes = [computeContract, storageContract].flatMap(({ endpoints }) =>
    Object.entries(endpoints).flatMap(([name, { method }]) =>
      method === 'GET' || method === 'HEAD' ? name : [],
    ),
  );
  return routes.filter((name) => !called.has(name) && WITHOUT[name] === undefined);
}
