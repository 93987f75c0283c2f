import { readdir, readFile } from 'node:fs/promises';
import { type OrderView, PlatformError } from '@morpheo/common';
import test from 'ava';
import { morpheo } from '../testing/morpheo.ts';
import { fakePlatform } from '../testing/platform.ts';
import { IDS, sampleOrder } from '../testing/samples.ts';
import { fakeStorage } from '../testing/storage-fake.ts';
import { temporaryFolder } from '../testing/temporary-folder.ts';

const OUTPUT = '0f0f0f0f-0000-4000-8000-000000000001';
const FILES = { 'report.txt': 'all is well', 'weights/a': 'aaa', 'weights/b/c': 'bc', weights2: '2' };

async function setUp(changes: Partial<OrderView> = {}, files: Readonly<Record<string, string>> = FILES) {
  const stack = new AsyncDisposableStack();
  const storage = fakeStorage();
  storage.addOutput(files, { uuid: OUTPUT });
  const image = `registry.example/tool@sha256:${'0'.repeat(64)}`;
  const job = { image, inputs: [], output: OUTPUT };
  const made = { uuid: OUTPUT, size: 1, sha256: 'ab'.repeat(32) };
  const order = sampleOrder({ kind: 'job', result: made, job, ...changes });
  const getOrder = async ({ params }: { readonly params: { readonly id: string } }) => {
    if (params.id === order.id) return order;
    throw new PlatformError('not_found', 'There is no such order.');
  };
  const platform = stack.use(await fakePlatform({ storage: storage.api, compute: { getOrder } }));
  const folder = stack.use(await temporaryFolder());
  const ask = (...argv: string[]) => morpheo(['get', ...argv], { env: platform.env });
  return { storage, folder, ask, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** What lies in a folder, by path. */
async function treeOf(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => `${entry.parentPath}/${entry.name}`);
  const pairs = files.map(
    async (path) => [path.slice(folder.length + 1), await readFile(path, 'utf8')] as const,
  );
  return Object.fromEntries(await Promise.all(pairs));
}

test('The files that a job has left are listed, all or those of a folder', async (t) => {
  await using place = await setUp();
  const { code, stdout, stderr } = await place.ask('job', IDS.order);
  t.is(code, 0, stderr);
  t.regex(stdout, new RegExp(`^output +${OUTPUT}\n[^]*\n *11 B {2}report.txt\n *3 B {2}weights/a\n`));
  const json = await place.ask('output', OUTPUT, './weights/', '--json');
  const told: { files: { path: string }[] } = JSON.parse(json.stdout);
  t.deepEqual(
    told.files.map(({ path }) => path),
    ['weights/a', 'weights/b/c'],
  );
});

test('One file of a job is downloaded, also to stdout', async (t) => {
  await using place = await setUp();
  const target = place.folder.file('r.txt');
  const { code, stderr } = await place.ask('job', IDS.order, 'report.txt', '-o', target);
  t.is(code, 0, stderr);
  t.is(await readFile(target, 'utf8'), 'all is well');
  t.is((await place.ask('job', IDS.order, 'weights/a', '-o', '-')).stdout, 'aaa');
  t.is((await place.ask('job', IDS.order, 'report.txt', '-o', target)).code, 2);
  t.is((await place.ask('job', IDS.order, 'weights2', '-o', target, '--force')).code, 0);
  t.is(await readFile(target, 'utf8'), '2');
});

test('A folder of a job, and all its files, are downloaded into a folder that is made', async (t) => {
  await using place = await setUp();
  const { ask, folder } = place;
  const weights = folder.file('w');
  t.is((await ask('job', IDS.order, 'weights', '-o', weights)).code, 0);
  t.deepEqual(await treeOf(weights), { a: 'aaa', 'b/c': 'bc' });
  const all = folder.file('all');
  const { code, stderr } = await ask('job', IDS.order, '-o', all);
  t.is(code, 0, stderr);
  t.deepEqual(await treeOf(all), FILES);
  t.regex(stderr, /fetched 4 files/);
  t.is((await ask('job', IDS.order, '-o', all)).code, 2, 'it is there already');
  t.is((await ask('job', IDS.order, 'weights', '-o', '-')).code, 2);
  t.deepEqual((await readdir(folder.path)).sort(), ['all', 'w']);
});

test('All files of a job are downloaded as an archive', async (t) => {
  await using place = await setUp();
  const target = place.folder.file('all.tar');
  t.is((await place.ask('output', OUTPUT, '-o', target)).code, 0);
  t.deepEqual(await readFile(target), Buffer.from(place.storage.kept[0]?.bytes ?? []));
});

test('A folder that was cut goes on with what has not come', async (t) => {
  await using place = await setUp();
  const { ask, folder, storage } = place;
  const { send } = storage;
  storage.send = (bytes) => (Buffer.from(bytes).toString() === 'bc' ? falseBytes() : send(bytes));
  const target = folder.file('w');
  t.is((await ask('job', IDS.order, 'weights', '-o', target)).code, 1);
  t.deepEqual(await treeOf(`${target}.part`), { a: 'aaa' });
  storage.send = send;
  storage.ranges.length = 0;
  t.is((await ask('job', IDS.order, 'weights', '-o', target)).code, 0);
  t.is(storage.ranges.length, 1, 'what had come is not fetched again');
  t.deepEqual(await treeOf(target), { a: 'aaa', 'b/c': 'bc' });
});

const falseBytes = () => new Blob(['xx']).stream();

test('A file that would lie outside of the folder is not written', async (t) => {
  await using place = await setUp({}, { 'w/../../evil': 'x' });
  const target = place.folder.file('deep');
  const { code, stderr } = await place.ask('output', OUTPUT, 'w', '-o', target);
  t.is(code, 2);
  t.regex(stderr, /leads out of its folder/);
  t.is((await place.ask('output', OUTPUT, '-o', place.folder.file('all'))).code, 1);
  t.deepEqual((await readdir(place.folder.path)).sort(), ['deep.part']);
});

test('What a job has not left is told', async (t) => {
  await using place = await setUp();
  const { code, stderr } = await place.ask('job', IDS.order, 'weight');
  t.is(code, 4);
  t.regex(stderr, /has neither a file nor a folder weight\./);
  t.is((await place.ask('job', IDS.other)).code, 4);
  t.is((await place.ask('model', OUTPUT, 'weights')).code, 2);
  t.is((await place.ask('job', IDS.order, '--blob')).code, 2);
  await using learn = await setUp({ kind: 'learn' });
  t.regex((await learn.ask('job', IDS.order)).stderr, /is no job, but of the kind learn/);
  const { result: _, ...none } = sampleOrder({ kind: 'job', status: 'failed' });
  await using failed = await setUp({ ...none, result: undefined as never });
  t.regex((await failed.ask('job', IDS.order)).stderr, /has left nothing on storage: it is failed/);
  const outputs = { storage: false, bucket: { connection: 'lab', prefix: 'out/' } };
  await using bucket = await setUp({ kind: 'job', job: { inputs: [], output: OUTPUT, outputs } });
  t.regex((await bucket.ask('job', IDS.order)).stderr, /Its outputs go to bucket:lab\/out\/\./);
});

test('The output of a job that failed says so', async (t) => {
  await using place = await setUp();
  place.storage.addOutput({}, { uuid: IDS.data, failed: true });
  t.regex((await place.ask('output', IDS.data)).stdout, /\nfailed +yes: its job has failed/);
});
