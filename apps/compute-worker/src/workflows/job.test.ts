import { randomUUID } from 'node:crypto';
import { lstatSync, readdirSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { ArchiveReader } from '@morpheo/service/archive';
import { chunked, FLAGS, rawTar, rawTarGz } from '@morpheo/service/archive/testing';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import type { RunSpec } from '../runtime/index.ts';
import { aJournal, leaveBehind, openAdoptingDummy } from '../testing/left-behind.ts';
import { MemoryCompute } from '../testing/memory-compute.ts';
import { jobOrder } from '../testing/orders.ts';
import { contextArchive, failureOf, openTestWorker, reportOf, resultOf } from '../testing/test-worker.ts';

/** What is in a tar: the contents by names, those of what may be executed with a star. */
async function contentsOf(tar: Uint8Array = new Uint8Array()): Promise<Record<string, string>> {
  const contents: Record<string, string> = {};
  const { signal } = new AbortController();
  for await (const { header, bytes } of new ArchiveReader(chunked(tar), false).entries(signal)) {
    const text = Buffer.concat(await Array.fromAsync(bytes())).toString();
    contents[`${header.name}${header.kind === 'file' && header.executable ? '*' : ''}`] = text;
  }
  return contents;
}

test('A job is called as its order says, sees its inputs, and its outputs are one tar', async (t) => {
  const specs: RunSpec[] = [];
  const write = { '/outputs/a/deep/file': 'deep', '/checkpoint/state': 'state' };
  await using setup = await openTestWorker({
    script: ({ spec }) => {
      if (spec !== undefined) specs.push(spec);
      return { write };
    },
  });
  const { storage } = setup;
  const order = setup.job({
    command: ['--steps', '3'],
    env: { SEED: '7' },
    inputs: [
      { path: '/data/train.csv', resource: { type: 'data', uuid: storage.put('data', 'train') } },
      { path: '/config.json', inline: Buffer.from('{}').toString('base64') },
      { path: '/of/before', resource: { type: 'output', uuid: storage.put('output', rawTar([])) } },
    ],
    limits: { wall_seconds: 60, memory_bytes: 1e9, disk_bytes: 1e15 },
  });
  await setup.worker.settle();
  const { uuid, sha256, size } = resultOf(order);
  t.is(uuid, order.spec.uplet.output ?? '');
  const staged = storage.staged.get(`${order.id}.1`);
  t.like(staged, { type: 'output', uuid, algo: undefined, owner: 'lab' });
  t.is(staged?.bytes.byteLength, size);
  t.is(sha256.length, 64);
  const contents = await contentsOf(staged?.bytes);
  t.deepEqual(Object.keys(contents), ['a/', 'a/deep/', 'a/deep/file', 'called.json']);
  t.is(contents['a/deep/file'], 'deep');
  t.deepEqual(JSON.parse(String(contents['called.json'])), {
    args: ['--steps', '3'],
    environment: { SEED: '7', MORPHEO_OUTPUTS: '/outputs', MORPHEO_CHECKPOINT: '/checkpoint' },
  });
  const [spec] = specs;
  t.like(spec?.limits, { wallMs: 60_000, memoryBytes: 1e9 });
  t.regex(order.log.map(({ text }) => text).join(''), /job: disk_bytes is \d+, the most that this worker/);
  t.deepEqual(
    spec?.mounts.map(({ container, readOnly }) => `${container} ${readOnly}`),
    ['/data/train.csv true', '/config.json true', '/of/before true', '/outputs false', '/checkpoint false'],
  );
  t.deepEqual(order.started, ['inputs', 'build', 'job', 'results']);
  t.deepEqual(await setup.workspaces(), []);
});

test('A job that fails has failed with its outputs, but for what is no output', async (t) => {
  await using setup = await openTestWorker({});
  const failed = setup.job({}, { job: { exit: 3 } });
  await setup.worker.settle();
  t.like(failureOf(failed), { reason: 'exit_code', exit_code: 3, step: 'job' });
  const report = reportOf(failed);
  const { uplet } = failed.spec;
  t.is(report.outcome === 'failed' ? report.result?.uuid : undefined, uplet.output);
  t.deepEqual(Object.keys(await contentsOf(setup.storage.staged.get(`${failed.id}.1`)?.bytes)), [
    'called.json',
  ]);

  const hostile = setup.job({}, { job: { exit: 3, link: { '/outputs/link': '/etc/passwd' } } });
  const full = setup.job({}, { job: { ended: 'disk_full' } });
  await setup.worker.settle();
  t.like(reportOf(hostile), { outcome: 'failed', result: undefined, failure: { reason: 'exit_code' } });
  t.regex(hostile.log.map(({ text }) => text).join(''), /is not kept. \/outputs\/link is a link/);
  t.like(reportOf(full), { outcome: 'failed', result: undefined, failure: { reason: 'disk_full' } });
  t.is(setup.storage.staged.size, 1);
});

test('Numbers that a job leaves in score.json are told with its result, and nothing else is', async (t) => {
  await using setup = await openTestWorker({});
  const scored = (text: string) => setup.job({}, { job: { write: { '/outputs/score.json': text } } });
  const good = scored('{"accuracy": 0.5, "epochs": 3, "of": "test", "best": null}');
  const others = ['{"accuracy": "0.5"}', '[1]', 'no JSON', `{"a": ${'1'.repeat(70_000)}}`].map(scored);
  const failed = setup.job({}, { job: { exit: 1, write: { '/outputs/score.json': '{"accuracy": 1}' } } });
  await setup.worker.settle();
  t.deepEqual(resultOf(good).scores, { accuracy: 0.5, epochs: 3 });
  for (const other of others) t.is(resultOf(other).scores, undefined);
  const report = reportOf(failed);
  t.is(report.outcome === 'failed' ? report.result?.scores : {}, undefined);
});

test('What a job left that is neither file nor folder, or too much, fails it and names it', async (t) => {
  await using setup = await openTestWorker({});
  const linked = setup.job({}, { job: { link: { '/outputs/a': '/etc/passwd' } } });
  const gone = setup.job({}, { job: { remove: ['/outputs'] } });
  await setup.worker.settle();
  t.like(failureOf(linked), { reason: 'invalid_result', file: '/outputs/a', step: 'results' });
  t.like(failureOf(gone), { reason: 'missing_result', file: '/outputs' });
  t.is(setup.storage.staged.size, 0);
});

test('Archives become folders, once for all jobs that name them, and broken ones are told', async (t) => {
  const seen: string[] = [];
  await using setup = await openTestWorker({
    script: ({ spec }) => {
      for (const { host, container, readOnly } of spec?.mounts ?? []) {
        if (!readOnly) continue;
        const names = lstatSync(host).isDirectory() ? readdirSync(host, { recursive: true }) : [];
        seen.push(`${container}: ${names.map(String).toSorted((a, b) => (a < b ? -1 : 1))}`);
      }
      return undefined;
    },
  });
  const { storage } = setup;
  const entries = [
    { name: 'deep/run', body: 'run', mode: 0o755 },
    { name: 'empty/', flag: FLAGS.folder },
  ];
  const data = storage.put('data', rawTarGz(entries));
  const output = storage.put('output', rawTar(entries));
  const inputs = [
    { path: '/gz', resource: { type: 'data' as const, uuid: data }, unpack: true },
    { path: '/before', resource: { type: 'output' as const, uuid: output } },
    { path: '/inline', inline: rawTar(entries).toString('base64'), unpack: true },
    { path: '/kept.tgz', resource: { type: 'data' as const, uuid: data } },
  ];
  const jobs = [setup.job({ inputs }), setup.job({ inputs })];
  await setup.worker.settle();
  for (const one of jobs) t.is(reportOf(one).outcome, 'done');
  t.is(storage.downloadsOf(data), 1);
  const folders = ['/gz', '/before', '/inline'].map((path) => `${path}: deep,deep/run,empty`);
  t.deepEqual(seen.slice(0, 4), [...folders, '/kept.tgz: ']);
  t.deepEqual(seen.slice(4), seen.slice(0, 4));
  const broken = setup.job({ inputs: [{ path: '/in', inline: 'AAAA', unpack: true }] });
  await setup.worker.settle();
  const failure = failureOf(broken);
  t.like(failure, { reason: 'invalid_result', step: 'inputs' });
  t.regex(failure.message, /^The inline input for \/in cannot be unpacked\./);
});

test('An attempt goes on from what the last one left in /checkpoint, and metrics of each are told in order', async (t) => {
  const found: string[][] = [];
  await using setup = await openTestWorker({
    script: ({ spec, nth }) => {
      const { host } = spec?.mounts.find(({ container }) => container === '/checkpoint') ?? {};
      if (host === undefined) return undefined;
      found.push(readdirSync(host));
      const lines = `{"step":${nth}}\nnot json\n{"step":${nth},"loss":0.5}\n`;
      const write = { [`/checkpoint/step-${nth}`]: 'state', '/outputs/metrics.jsonl': lines };
      return { write, exit: nth === 2 ? 0 : 1 };
    },
  });
  const order = setup.job();
  for (const attempt of [1, 2, 3]) {
    order.status = 'todo';
    await eventually(t, (t) => t.is(order.reports.length, attempt));
  }
  t.deepEqual(found, [[], ['step-0'], ['step-0', 'step-1']]);
  t.deepEqual(
    order.metrics.map(({ attempt, from, lines }) => [attempt, from, lines]),
    [1, 2, 3].map((attempt) => {
      const step = attempt - 1;
      return [attempt, 0, [{ step }, { step, loss: 0.5 }]];
    }),
  );
  const said = order.log.map(({ text }) => text).join('');
  t.regex(said, /checkpoint: goes on from 2 files, 10 B\n/);
  t.regex(said, /metrics: 1 line of the file is no JSON object of 4096 bytes at the most, and left out\n/);
});

test('A job that had ended before its worker died is not run again, and what it left is kept', async (t) => {
  const compute = new MemoryCompute();
  compute.fault = () => new PlatformError('unavailable', 'Nobody answers yet.');
  const { uplet } = jobOrder({ algo: randomUUID() });
  const order = compute.place({ kind: 'job', uplet });
  order.attempt = 1;
  order.status = 'pending';
  const attempt = { order: order.id, attempt: 1 };
  const result = { ended: 'exited', exitCode: 3, seconds: 1 };
  await using setup = await openTestWorker({
    compute,
    openRuntime: async (folder) => {
      const outputs = join(folder, 'work', `${order.id}.1`, 'job', 'outputs');
      await mkdir(outputs, { recursive: true });
      await writeFile(join(outputs, 'left'), 'before the worker died');
      await leaveBehind(folder, attempt, aJournal(attempt, { steps: { job: { state: 'ended', result } } }));
      return openAdoptingDummy().runtime;
    },
  });
  setup.storage.put('algo', contextArchive({ job: { throw: 'internal' } }), { uuid: uplet.algo ?? '' });
  compute.fault = () => undefined;
  await eventually(t, (t) => t.is(order.reports.length, 1));
  t.like(reportOf(order), { outcome: 'failed', failure: { exit_code: 3 }, result: { uuid: uplet.output } });
  const staged = setup.storage.staged.get(`${order.id}.1`);
  t.deepEqual(await contentsOf(staged?.bytes), { left: 'before the worker died' });
});
