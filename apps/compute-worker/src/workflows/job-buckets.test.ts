import { hash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Job } from '@morpheo/common';
import { readStart } from '@morpheo/service/buckets';
import {
  answerError,
  bucketOptions,
  sharedS3,
  startFakeS3,
  minioTest as test,
} from '@morpheo/service/buckets/testing';
import ava from 'ava';
import { openTestConnections } from '../buckets/testing.ts';
import type { RunSpec } from '../runtime/index.ts';
import type { TestOrder } from '../testing/memory-compute.ts';
import { failureOf, openTestWorker, reportOf, resultOf } from '../testing/test-worker.ts';

const minio = sharedS3();

/** A worker that knows the connection `lab`, which anybody may use, and `own`, which nobody may. */
async function open(options?: Parameters<typeof openTestConnections>[0]) {
  await using stack = new AsyncDisposableStack();
  const buckets = stack.use(
    await openTestConnections(options ?? (await bucketOptions(await minio())), { own: { read: ['ann'] } }),
  );
  const specs: RunSpec[] = [];
  const seen: string[] = [];
  const setup = stack.use(
    await openTestWorker({
      buckets: buckets.connections,
      before: async (spec) => {
        specs.push(spec);
        for (const { host, readOnly } of spec.mounts)
          if (readOnly) seen.push(...readdirSync(host, { recursive: true }).map(String).sort());
      },
    }),
  );
  const opened = stack.move();
  return { buckets, setup, specs, seen, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}

const INPUT = { path: '/data', bucket: { connection: 'lab', prefix: 'set' } } as const;
const OUT = { connection: 'lab', prefix: 'out/' };
const WRITES = { job: { write: { '/outputs/a/b': 'made' } } };

type Under = Awaited<ReturnType<typeof open>>;

/** The manifest of the outputs, and what it is as bytes. */
async function manifestIn({ buckets }: Under) {
  const { bytes } = (await readStart(buckets.calls, 'base/out/manifest.json', 1e6)) ?? {
    bytes: Buffer.from('null'),
  };
  const json: unknown = JSON.parse(Buffer.from(bytes).toString());
  return { json, sha256: hash('sha256', bytes), size: bytes.byteLength };
}

test('A job reads below a prefix of a bucket, and leaves its outputs below another, whole', async (t) => {
  await using under = await open();
  const { buckets, setup } = under;
  await buckets.put({ 'base/set/train/a.csv': 'a', 'base/set/b.csv': 'bb' });
  const order = setup.job({ inputs: [INPUT], outputs: { storage: false, bucket: OUT } }, WRITES);
  await setup.worker.settle();
  const { uuid, sha256, size } = resultOf(order);
  t.is(uuid, order.spec.uplet.output ?? '');
  t.deepEqual(under.seen, ['b.csv', 'train', 'train/a.csv']);
  const manifest = await manifestIn(under);
  t.deepEqual([sha256, size], [manifest.sha256, manifest.size], 'the result of the order is the manifest');
  t.like(manifest.json, { order: order.id, attempt: 1, outcome: 'done' });
  t.deepEqual(await buckets.keys(), [
    ...[`base/out/${order.id}/attempt-1/a/b`, `base/out/${order.id}/attempt-1/called.json`],
    ...['base/out/manifest.json', 'base/set/b.csv', 'base/set/train/a.csv'],
  ]);
  t.is(setup.storage.staged.size, 0);
  const log = order.log.map(({ text }) => text).join('');
  t.regex(log, /inputs: 2 files, 3 B from bucket:lab\/set\n/);
  t.regex(log, /results: 2 files, \d+ B to bucket:lab\/out\/\n/);
  t.deepEqual(await setup.workspaces(), []);
});

test('What a job that fails has left goes to its bucket and to storage, marked', async (t) => {
  await using under = await open();
  const { setup } = under;
  const order = setup.job({ outputs: { bucket: OUT } }, { job: { exit: 3, ...WRITES.job } });
  await setup.worker.settle();
  t.like(failureOf(order), { reason: 'exit_code', exit_code: 3 });
  const report = reportOf(order);
  const { bytes } = setup.storage.staged.get(`${order.id}.1`) ?? { bytes: new Uint8Array() };
  t.is(report.outcome === 'failed' ? report.result?.size : undefined, bytes.byteLength, 'of the tar');
  t.like((await manifestIn(under)).json, { order: order.id, attempt: 1, outcome: 'failed' });
});

test('Places that are not there, not for the owner, or not free fail the job before it runs', async (t) => {
  await using under = await open();
  const { buckets, setup, specs } = under;
  await buckets.put({
    'base/set/a': 'a',
    'base/set/taken/manifest.json': '{}',
  });
  const at = (connection: string, prefix: string): Partial<Job> => ({
    inputs: [{ path: '/data', bucket: { connection, prefix } }],
  });
  const into = (prefix: string, connection = 'lab', inputs = [INPUT]): Partial<Job> => ({
    inputs,
    outputs: { storage: false, bucket: { connection, prefix } },
  });
  for (const [members, reason, message] of [
    [at('lab', 'none'), 'input_not_found', 'There is nothing at bucket:lab/none.'],
    [at('own', ''), 'forbidden', /may not read from the bucket connection own/],
    [at('none', ''), 'forbidden', /may not read from the bucket connection none, or there is none/],
    [into('out', 'own'), 'forbidden', /may not write to the bucket connection own/],
    [
      into('set/below'),
      'invalid_result',
      /^The outputs would go to bucket:lab\/set\/below, which holds the input bucket:lab\/set/,
    ],
    [
      into('set/taken', 'lab', []),
      'invalid_result',
      'There is a bucket:lab/set/taken/manifest.json already, of no order.',
    ],
  ] as const) {
    const order = setup.job(members, WRITES);
    await setup.worker.settle();
    const failure = failureOf(order);
    t.like(failure, { reason, step: 'inputs' });
    if (typeof message === 'string') t.is(failure.message, message);
    else t.regex(failure.message, message);
  }
  t.is(specs.length, 0);
});

ava('A bucket that is away is tried again, and neither container nor log knows of its keys', async (t) => {
  let state: 'away' | 'there' = 'away';
  const listing = '<Contents><Key>base/set/a</Key><Size>1</Size><ETag>"e"</ETag></Contents>';
  await using fake = await startFakeS3(({ url = '' }, response) => {
    if (state === 'away') return answerError(response, 503, 'SlowDown');
    if (url.includes('list-type'))
      return void response.end(`<ListBucketResult>${listing}</ListBucketResult>`);
    if (url.includes('manifest.json')) return answerError(response, 404, 'NoSuchKey');
    response.writeHead(200, { etag: '"e"' }).end('a');
  });
  await using under = await open(fake.options);
  const { setup, specs } = under;
  const first = setup.job({ inputs: [INPUT] });
  await setup.worker.settle();
  const failure = failureOf(first, 'error');
  t.like(failure, { reason: 'internal' });
  t.regex(failure.message, /^The bucket connection lab at \(an address\), bucket fake: it is busy or broken/);
  state = 'there';
  const second: TestOrder = setup.job({ inputs: [INPUT] });
  await setup.worker.settle();
  t.is(reportOf(second).outcome, 'done');
  const secret = fake.options.credentials.secretAccessKey.reveal();
  const shown = JSON.stringify([specs, first, second, setup.log.entries]);
  t.false(shown.includes(secret));
  t.true(
    (await readFile(join(under.buckets.folder, 'keys.json'), 'utf8')).includes(secret),
    'it is what it had',
  );
});
