import { randomUUID } from 'node:crypto';
import { mkdtempDisposable, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { uploadForm } from '@morpheo/client';
import { type Learnuplet, learnuplet } from '@morpheo/common';
import { openDummyRuntime } from '@morpheo/compute-worker';
import { rawTarGz } from '@morpheo/service/archive/testing';
import { type LogEntry, memoryLog } from '@morpheo/service/log';
import { eventually, openOtlpReceiver, type ReceivedSpan, readFigures } from '@morpheo/service/testing';
import { openTracer } from '@morpheo/service/trace';
import test from 'ava';
import { type Platform, type PlatformOptions, startPlatform } from '../platform.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const CALLER = `00-${TRACE}-b7ad6b7169203331-01`;

/** A platform whose containers are made up, on a folder that goes with it. */
async function openPlatform(options: Pick<PlatformOptions, 'openTracer' | 'storage'> = {}) {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await mkdtempDisposable(join(tmpdir(), 'morpheo-observability-')));
  const log = memoryLog();
  const openRuntime = async () => openDummyRuntime();
  const platform = await startPlatform({ folder: folder.path, openRuntime, log, ...options });
  stack.use(platform);
  const opened = stack.move();
  return { ...platform, log, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}

async function upload(storage: Platform['storage'], type: 'problem' | 'algo' | 'data', bytes: Uint8Array) {
  const uuid = randomUUID();
  const named = { problem: { name: 'p', description: 'p' }, algo: { name: 'a' }, data: {} };
  const fields = { uuid, size: String(bytes.byteLength), ...named[type] };
  const blob = new Blob([new Uint8Array(bytes)]);
  await storage.upload({ params: { type }, query: {}, body: uploadForm({ fields, blob }) });
  return uuid;
}

/** A training order whose inputs are on storage. */
async function anOrder(storage: Platform['storage']): Promise<Learnuplet> {
  const context = (name: string) =>
    rawTarGz([
      { name: 'Dockerfile', body: `FROM scratch\n# ${name}\n` },
      { name: 'dummy.json', body: '{}' },
    ]);
  const data = await upload(storage, 'data', Buffer.from('data'));
  const algo = await upload(storage, 'algo', context('algo'));
  const workflow = await upload(storage, 'problem', context('problem'));
  return learnuplet.parse({
    ...{
      uuid: randomUUID(),
      problem: randomUUID(),
      workflow,
      algo,
      model_start: algo,
      model_end: randomUUID(),
    },
    ...{ train_data: [data], test_data: [data], status: 'todo', rank: 0 },
  });
}

/** Posts an order as the original orchestrator does, as part of a trace, and follows it to its end. */
async function learn(
  { compute, connection }: Platform,
  order: Learnuplet,
  headers: Record<string, string> = {},
) {
  const posted = await fetch(`${connection.compute}/learn`, {
    method: 'POST',
    headers,
    body: JSON.stringify(order),
  });
  await posted.text();
  const params = { id: order.uuid };
  for await (const _event of await compute.orderEvents({ params, headers: {} }));
  return (await compute.getOrder({ params })).status;
}

test('One id finds what every service has said of an order', async (t) => {
  await using platform = await openPlatform();
  const order = await anOrder(platform.storage);
  t.is(await learn(platform, order), 'done');
  await eventually(t, (t) => {
    const lines = platform.log.entries.filter((entry) => entry.order === order.uuid);
    const ofInfo = lines.filter(({ level }) => level !== 'debug');
    const said = (service: string): LogEntry[] => ofInfo.filter((entry) => entry.service === service);
    for (const service of ['compute-api', 'compute-worker', 'storage-api'])
      t.not(said(service).length, 0, service);
    const downloads = lines.filter(
      ({ service, route }) => service === 'storage-api' && /Blob$/.test(String(route)),
    );
    t.true(downloads.length >= 3, 'the worker fetches for its order');
    for (const line of downloads) t.is(line.attempt, 1);
    t.true(ofInfo.some(({ message }) => message === 'An order is done'));
  });
});

test('What a platform does is counted by each of its services', async (t) => {
  await using platform = await openPlatform();
  const order = await anOrder(platform.storage);
  await learn(platform, order);
  t.is(await learn(platform, { ...order, uuid: randomUUID(), model_end: randomUUID() }), 'done');
  await eventually(t, async (t) => {
    const compute = await readFigures(platform.connection.compute);
    t.is(compute.get('morpheo_compute_orders_ended_total{kind="learn",outcome="done"}'), 2);
    t.is(compute.get('morpheo_worker_attempts_total{kind="learn",outcome="done"}'), 2);
    t.is(compute.get('morpheo_worker_attempts_running{kind="learn"}'), 0);
    t.is(compute.get('morpheo_worker_slots{kind="learn"}'), 1);
    t.is(compute.get('morpheo_worker_images_total{result="built"}'), 2);
    t.is(compute.get('morpheo_worker_images_total{result="found"}'), 2);
    t.is(compute.get('morpheo_worker_cache_uses_total{area="detargeted",result="hit"}'), 1);
    t.is(compute.get('morpheo_worker_step_duration_seconds_count{kind="learn",step="train",cached="no"}'), 2);
    t.is(
      compute.get('morpheo_worker_step_duration_seconds_count{kind="learn",step="detarget",cached="yes"}'),
      1,
    );
    t.true((compute.get('morpheo_worker_cache_bytes') ?? 0) > 0);
    t.true(compute.has('process_cpu_seconds_total'));
  });
  const storage = await readFigures(platform.connection.storage);
  t.is(storage.get('morpheo_storage_resources{type="model"}'), 2);
  t.is(storage.get('morpheo_storage_uploads_total'), 5);
  // The dummy makes the same model each time; of results that are staged nobody is told whether they are like others.
  t.is(storage.get('morpheo_storage_dedupe_hits_total'), 0);
  t.is(storage.get('morpheo_storage_blobs'), 4);
  t.is(storage.get('morpheo_storage_staged_results'), 0);
  t.true((storage.get('http_sent_bytes_total{route="getDataBlob"}') ?? 0) > 0);
});

test('A trace leads from the post of an order to its containers and its end', async (t) => {
  await using receiver = await openOtlpReceiver();
  const order = await (async () => {
    await using platform = await openPlatform({
      openTracer: async (service, log) =>
        await openTracer({ service, version: '0', endpoint: receiver.url, log }),
    });
    const placed = await anOrder(platform.storage);
    t.is(await learn(platform, placed, { traceparent: CALLER }), 'done');
    const events = async () =>
      await Array.fromAsync(await platform.compute.orderEvents({ params: { id: placed.uuid }, headers: {} }));
    await eventually(t, async (t) =>
      t.true((await events()).some(({ data }) => data.details.what === 'tell_learn')),
    );
    return placed;
  })();
  const spans = receiver.spans.filter(({ trace }) => trace === TRACE);
  const tree = (name: string) =>
    pathOf(
      spans,
      spans.find((span) => span.name === name),
    );
  const placed = 'compute-api POST /learn > compute-api place order';
  const attempt = `${placed} > compute-worker attempt`;
  t.is(tree('claim'), `${placed} > compute-api claim`);
  t.is(tree('attempt'), attempt);
  for (const name of [
    'download input',
    'prepare image',
    'run detarget',
    'run train',
    'run perf',
    'stage result',
    'report',
  ])
    t.is(tree(name), `${attempt} > compute-worker ${name}`, name);
  t.is(tree('check'), `${placed} > compute-api check`);
  t.is(tree('publish'), `${placed} > compute-api publish`);
  t.is(tree('publish result'), `${placed} > compute-api publish result`);
  t.is(tree('callback'), `${placed} > compute-api callback`);
  t.is(
    tree('PUT /v1/results/:order/:attempt'),
    `${attempt} > compute-worker stage result > storage-api PUT /v1/results/:order/:attempt`,
  );
  t.is(spans.find(({ name }) => name === 'POST /learn')?.parent, 'b7ad6b7169203331');
  t.is(spans.filter(({ name }) => name === 'download input').length, 3);
  for (const span of spans) t.is(span.attributes['morpheo.order'], order.uuid, span.name);
  t.false(receiver.text.includes('secret'), 'no secret leaves');
  t.false(receiver.text.includes('train_data'), 'no body leaves');
});

test('The guide for operators names every figure that there is, and no other', async (t) => {
  // Those are there as well that an operator has to ask for.
  await using platform = await openPlatform({ storage: { ownerMetrics: 1 } });
  const { compute, storage } = platform.connection;
  const pages = await Promise.all(
    [compute, storage].map(async (url) => await (await fetch(`${url}/metrics`)).text()),
  );
  const shown = pages
    .flatMap((page) => [...page.matchAll(/^# HELP (morpheo_\w+) \S/gm)])
    .map(([, name]) => name);
  const guide = await readFile(new URL('../../../../docs/operating.md', import.meta.url), 'utf8');
  const documented = [...guide.matchAll(/^\|.*$/gm)].flatMap(([row]) => [
    ...row.matchAll(/`(morpheo_(?:\w+))/g),
  ]);
  // Shown by a compute-api that is told of people by storage-api elsewhere.
  shown.push('morpheo_directory_age_seconds');
  const names = (list: readonly (string | undefined)[]) =>
    [...new Set(list)].toSorted((a, b) => `${a}`.localeCompare(`${b}`));
  t.deepEqual(names(documented.map(([, name]) => name)), names(shown));
});

/** A span as the names that lead to it from the beginning of its trace. */
function pathOf(spans: readonly ReceivedSpan[], span: ReceivedSpan | undefined): string {
  if (span === undefined) return '';
  const parent = spans.find(({ id }) => id === span.parent);
  const own = `${span.service} ${span.name}`;
  return parent === undefined ? own : `${pathOf(spans, parent)} > ${own}`;
}
