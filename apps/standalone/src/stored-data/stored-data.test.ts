import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { uploadForm } from '@morpheo/client';
import { startPostgres, withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava, { type ExecutionContext, type TestFn } from 'ava';
import { folderOf, readDescription, readDump, unpack } from './archive.ts';
import { type Description, describe } from './describe.ts';
import { sendChunk, UPLOAD } from './resources.ts';
import { NOBODY, type OpenStored, openStored } from './services.ts';
import { ScriptedWorker } from './worker.ts';

const VERSIONS = await readdir(folderOf('.'));
const ENGINES = [
  ['sqlite', ava],
  ['postgres', withParts(ava as TestFn, 'postgres')],
] as const;

for (const version of VERSIONS) {
  for (const [engine, test] of ENGINES) {
    test(`Data that ${version} stored on ${engine} is read as it was, and goes on`, async (t) => {
      t.timeout(300_000);
      const stored = await readDescription(folderOf(version), engine);
      const expected = version === BEFORE_CHECKS ? toBeChecked(stored) : stored;
      await using place = await restore(version, engine);
      await readsAsItWas(t, expected, place);
      await goesOn(t, expected, place);
    });
  }
}

/** The version whose orders were not checked by storage before they started. */
const BEFORE_CHECKS = '0.1.0';

/** What was due is checked first, and so waits; all else is as it was. */
function toBeChecked(stored: Description): Description {
  const waits = (key: string): string => key.replace(/ todo /, ' waiting ');
  const counts: Record<string, number> = {};
  for (const [key, count] of Object.entries(stored.counts))
    counts[waits(key)] = (counts[waits(key)] ?? 0) + count;
  const { todo = 0, waiting = 0, ...rest } = stored.queue.counts;
  const orders = stored.orders.map(waits);
  const samples = ofEnded(stored.samples);
  const owners = stored.owners.map((owner) => ({ ...owner, waiting: owner.waiting + owner.due, due: 0 }));
  const queue = { ...stored.queue, counts: { ...rest, waiting: waiting + todo } };
  return { ...stored, counts, orders, samples, owners, queue };
}

/** Those of orders that have ended: which others are picked depends on their states. */
function ofEnded(samples: readonly unknown[]): unknown[] {
  return (samples as { order: { ended_at?: string } }[]).filter(({ order }) => order.ended_at !== undefined);
}

type Place = Pick<OpenStored, 'folder' | 'database'> & AsyncDisposable;

/** A copy of the stored data, on a server of its own where it needs one. */
async function restore(version: string, engine: 'sqlite' | 'postgres'): Promise<Place> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-stored-'));
  stack.defer(async () => await rm(folder, { recursive: true }));
  await unpack(join(folderOf(version), `${engine}.tar.gz`), folder);
  let database: OpenStored['database'];
  if (engine === 'postgres') {
    const server = stack.use(await startPostgres());
    const address = await server.createDatabase();
    await server.query(await readDump(join(folderOf(version), 'postgres.sql.gz')), address.database);
    database = { engine, address, poolSize: 4 };
  }
  const opened = stack.move();
  return { folder, database, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}

/** Every order's line, some orders with history and log, every thing with the digest of its bytes, and the rest. */
async function readsAsItWas(t: ExecutionContext, expected: Description, place: Place): Promise<void> {
  await using services = await openStored({ ...place, together: false, orchestrator: NOBODY });
  const described = await describe(services, expected.upload.id);
  const areAllEnded = ofEnded(expected.samples).length === expected.samples.length;
  const found = areAllEnded ? { ...described, samples: ofEnded(described.samples) } : described;
  for (const part of Object.keys(expected) as (keyof Description)[]) {
    t.deepEqual(asFarAs(expected[part], JSON.parse(JSON.stringify(found[part]))), expected[part], part);
  }
  const ended = (status: string): number =>
    Object.entries(found.counts).reduce(
      (sum, [key, count]) => sum + (key.includes(` ${status} `) ? count : 0),
      0,
    );
  t.true(ended('done') >= 100 && ended('failed') >= 100 && ended('cancelled') >= 100);
}

/** What a later version shows beside what was shown before is no matter. */
function asFarAs(expected: unknown, found: unknown): unknown {
  if (Array.isArray(expected) && Array.isArray(found)) {
    return found.map((one, index) => asFarAs(expected[index], one));
  }
  if (!isObject(expected) || !isObject(found)) return found;
  return Object.fromEntries(Object.keys(expected).map((key) => [key, asFarAs(expected[key], found[key])]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Uploads the problems that orders name which have not ended: no worker has ever asked for them. */
async function uploadProblems(place: Place): Promise<void> {
  await using services = await openStored({ ...place, together: false, orchestrator: NOBODY });
  const { compute, storage } = services;
  const named = new Set<string>();
  for (const status of ['waiting', 'todo', 'pending', 'failed'] as const) {
    const { items } = await compute.listOrders({ query: { status, limit: 100 } });
    for (const { workflow } of items) if (workflow !== undefined) named.add(workflow);
  }
  for (const uuid of named) {
    const blob = new Blob([`the problem ${uuid}`]);
    const fields = { uuid, name: 'P', description: 'named', visibility: 'open', size: String(blob.size) };
    await storage.upload({ params: { type: 'problem' }, query: {}, body: uploadForm({ fields, blob }) });
  }
}

/** What is due is done, what runs can end, what waits is run, and what was cut goes on. */
async function goesOn(t: ExecutionContext, expected: Description, place: Place): Promise<void> {
  await uploadProblems(place);
  await using services = await openStored({ ...place, together: true, orchestrator: NOBODY });
  const { compute, storage } = services;
  const statusOf = async (id: string) => (await compute.getOrder({ params: { id } })).status;
  const inState = async (status: 'pending' | 'failed' | 'todo') =>
    (await compute.listOrders({ query: { status, limit: 100 } })).items;
  await eventually(t, async (inner) => {
    const done = expected.counts['learn done '] ?? 0;
    const now = (await compute.getQueue({})).counts.done ?? 0;
    inner.is(now, done + (expected.counts['predict done '] ?? 0) + 1, 'the one that was being published');
  });

  const worker = new ScriptedWorker(services, randomUUID());
  await worker.start();
  const [failed] = await inState('failed');
  await compute.retryOrder({ params: { id: failed?.id ?? '' } });
  const claimed: string[] = [];
  for (let n = 0; n < 3; n += 1) {
    const claim = await worker.mustClaim();
    await worker.finish(claim);
    claimed.push(claim.order);
  }
  for (const id of claimed) await eventually(t, async (inner) => inner.is(await statusOf(id), 'done'));

  const { id, offset } = expected.upload;
  t.is(offset, String(UPLOAD.received));
  await sendChunk(services, id, UPLOAD.received, UPLOAD.bytes.byteLength);
  const data = await storage.list({ params: { type: 'data' }, query: { limit: 1 } });
  t.is(data.items[0]?.size, UPLOAD.bytes.byteLength);
}
