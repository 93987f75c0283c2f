import { createHash } from 'node:crypto';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { formatDigestField } from '@morpheo/common';
import test from 'ava';
import { morpheo } from '../testing/morpheo.ts';
import { fakePlatform } from '../testing/platform.ts';
import { IDS } from '../testing/samples.ts';
import { fakeStorage } from '../testing/storage-fake.ts';
import { type TemporaryFolder, temporaryFolder } from '../testing/temporary-folder.ts';

interface UploadedJson {
  readonly uuid: string;
  readonly sha256: string;
}

async function setUp() {
  const stack = new AsyncDisposableStack();
  const storage = fakeStorage();
  const platform = stack.use(await fakePlatform({ storage: storage.api }));
  const folder: TemporaryFolder = stack.use(await temporaryFolder());
  await mkdir(folder.file('tree'));
  await writeFile(folder.file('tree/Dockerfile'), 'FROM scratch');
  return { storage, env: platform.env, folder, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

function sha256(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

test('A folder is packed and uploaded with its digest', async (t) => {
  await using fixture = await setUp();
  const argv = ['upload', 'problem', fixture.folder.file('tree'), '--name', 'digits', '--uuid', IDS.workflow];
  const { code, stdout, stderr } = await morpheo(argv, { env: fixture.env });
  t.is(code, 0, stderr);
  const [kept] = fixture.storage.kept;
  t.is(kept?.resource.uuid, IDS.workflow);
  t.like(fixture.storage.forms[0], {
    name: 'digits',
    description: 'digits',
    size: String(kept?.bytes.byteLength),
  });
  t.is(fixture.storage.forms[0]?.sha256, sha256(kept?.bytes ?? ''));
  t.is(stdout, `✓ problem ${IDS.workflow}  digits\n  sha256  ${kept?.resource.sha256}\n`);
  t.regex(stderr, /^uploading .*archive of 1 file, .*\n(uploading .*\n)*uploaded .* in .*B\/s\n$/);
});

test('Uploading again gives the same digest and another id', async (t) => {
  await using fixture = await setUp();
  const argv = ['upload', 'algo', fixture.folder.file('tree'), '--json'];
  const first = JSON.parse((await morpheo(argv, { env: fixture.env })).stdout) as UploadedJson;
  const second = JSON.parse((await morpheo(argv, { env: fixture.env })).stdout) as UploadedJson;
  t.is(first.sha256, second.sha256);
  t.not(first.uuid, second.uuid);
  t.like(first, { type: 'algo', name: 'tree', source: fixture.folder.file('tree') });
});

test('An upload says who may use it, and data for what; what does not go together is refused', async (t) => {
  await using fixture = await setUp();
  const file = fixture.folder.file('test-1');
  await writeFile(file, 'targets');
  const upload = async (...argv: string[]) =>
    await morpheo(['upload', 'data', file, ...argv], { env: fixture.env });
  const test = ['--purpose', 'test', '--problem', IDS.workflow];
  t.is((await upload(...test, '--problem', IDS.algo, '--visibility', 'open')).code, 0);
  const said = { visibility: 'open', purpose: 'test', problems: `${IDS.workflow},${IDS.algo}` };
  t.like(fixture.storage.forms[0], said);
  for (const wrong of [test.slice(0, 2), test.slice(2), ['--purpose', 'fun']])
    t.is((await upload(...wrong)).code, 2, wrong.join(' '));
  t.is((await morpheo(['upload', 'algo', file, '--purpose', 'train'], { env: fixture.env })).code, 2);
});

test('Several data sets are uploaded, their ids alone with -q', async (t) => {
  await using fixture = await setUp();
  const files = ['train-1', 'train-2'].map((name) => fixture.folder.file(name));
  for (const file of files) await writeFile(file, file);
  const quiet = await morpheo(['upload', 'data', ...files, '-q'], { env: fixture.env });
  const ids = fixture.storage.kept.map(({ resource }) => resource.uuid).toReversed();
  t.is(quiet.stdout, `${ids.join('\n')}\n`);
  const json = await morpheo(['upload', 'data', ...files, '--json'], { env: fixture.env });
  const { items } = JSON.parse(json.stdout) as { items: UploadedJson[] };
  t.deepEqual(
    items.map((item) => item.sha256),
    files.map(sha256),
  );
  t.deepEqual(Object.keys(fixture.storage.forms[0] ?? {}), ['size', 'sha256']);
});

test('A model goes with its digest, length and algorithm', async (t) => {
  await using fixture = await setUp();
  fixture.storage.add('algo', Buffer.from('x'), { uuid: IDS.algo });
  await writeFile(fixture.folder.file('tree/model_trained.json'), '{}'.repeat(500_000));
  const { code, stderr } = await morpheo(['upload', 'model', fixture.folder.file('tree'), '--algo', 'a1b6'], {
    env: fixture.env,
  });
  t.is(code, 0, stderr);
  const [kept] = fixture.storage.kept;
  t.deepEqual(fixture.storage.forms, [
    {
      digest: formatDigestField(sha256(kept?.bytes ?? '')),
      length: String(kept?.bytes.byteLength),
      algo: IDS.algo,
    },
  ]);
});

test('A bar with rate is shown where it is asked for', async (t) => {
  await using fixture = await setUp();
  await writeFile(fixture.folder.file('data'), 'x'.repeat(200_000));
  const { stdout, stderr } = await morpheo(
    ['upload', 'data', fixture.folder.file('data'), '--progress', '--json'],
    {
      env: fixture.env,
    },
  );
  t.regex(stderr, /uploading data {2}█{24} 100% {2}200 kB of 200 kB, .*B\/s/);
  t.notThrows(() => JSON.parse(stdout));
});

test('An id that is taken is exit code 5', async (t) => {
  await using fixture = await setUp();
  fixture.storage.add('algo', Buffer.from('x'), { uuid: IDS.algo });
  const argv = ['upload', 'algo', fixture.folder.file('tree'), '--uuid', IDS.algo];
  const { code, stdout, stderr } = await morpheo(argv, { env: fixture.env });
  t.is(code, 5);
  t.is(stdout, '');
  t.regex(stderr, /error: .*already exist/);
});

test('What storage could not use is refused before it is sent', async (t) => {
  await using fixture = await setUp();
  const { folder, env } = fixture;
  await mkdir(folder.file('empty'));
  await mkdir(folder.file('no-dockerfile'));
  await writeFile(folder.file('no-dockerfile/main.js'), '');
  await writeFile(folder.file('plain.tar.gz'), 'no archive');
  await writeFile(folder.file('nothing'), '');
  const refused: [string[], RegExp][] = [
    [['algo', folder.file('absent')], /absent cannot be read/],
    [['algo', folder.file('empty')], /holds no file/],
    [['algo', folder.file('no-dockerfile')], /no Dockerfile at its root/],
    [['algo', folder.file('plain.tar.gz')], /is not a \.tar\.gz/],
    [['data', folder.file('tree')], /is a folder/],
    [['data', folder.file('nothing')], /is empty/],
    [['data', folder.file('plain.tar.gz'), '--name', 'x'], /--name does not go with data/],
    [['algo', folder.file('tree'), folder.file('tree')], /One algo is uploaded at a time/],
    [['model', folder.file('tree')], /belongs to an algorithm/],
    [['algo', folder.file('tree'), '--name', 'x'.repeat(256)], /1 to 255 bytes/],
  ];
  for (const [argv, message] of refused) {
    const { code, stdout, stderr } = await morpheo(['upload', ...argv], { env });
    t.is(code, 2, argv.join(' '));
    t.is(stdout, '');
    t.regex(stderr, message);
    t.is(stderr.trimEnd().split('\n').length, 2);
  }
  t.deepEqual(fixture.storage.kept, []);
});

test('No temporary archive is left behind', async (t) => {
  await using fixture = await setUp();
  const { folder, env } = fixture;
  await mkdir(folder.file('tmp'));
  const argv = ['upload', 'algo', folder.file('tree')];
  t.is((await morpheo(argv, { env: { ...env, TMPDIR: folder.file('tmp') } })).code, 0);
  t.deepEqual(await readdir(folder.file('tmp')), []);
  const broken = { ...env, TMPDIR: folder.file('tmp'), MORPHEO_STORAGE_URL: 'http://127.0.0.1:1' };
  t.is((await morpheo(argv, { env: broken })).code, 3);
  t.deepEqual(await readdir(folder.file('tmp')), []);
});

test('A large file for a storage that is away is exit code 3 soon, and is not half-remembered', async (t) => {
  await using fixture = await setUp();
  await writeFile(fixture.folder.file('large'), Buffer.alloc(9 * 1024 * 1024));
  const env = { ...fixture.env, MORPHEO_STORAGE_URL: 'http://127.0.0.1:1' };
  const { code, stdout, stderr } = await morpheo(['upload', 'data', fixture.folder.file('large')], { env });
  t.is(code, 3, stderr);
  t.is(stdout, '');
  t.regex(stderr, /was cut \(.+\); the same command goes on/);
  t.false((await readdir(String(fixture.env.MORPHEO_HOME))).includes('cli-uploads'));
});
