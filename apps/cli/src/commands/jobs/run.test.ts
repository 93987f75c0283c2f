import { readFile, writeFile } from 'node:fs/promises';
import { type Job, MOST_IN_JOB, type OrderView } from '@morpheo/common';
import { rawTar } from '@morpheo/service/archive/testing';
import { digestOf, startTestRegistry } from '@morpheo/service/registry/testing';
import test from 'ava';
import { morpheo } from '../../testing/morpheo.ts';
import { fakePlatform } from '../../testing/platform.ts';
import { failedOrder, IDS, sampleOrder } from '../../testing/samples.ts';
import { fakeStorage } from '../../testing/storage-fake.ts';
import { temporaryFolder } from '../../testing/temporary-folder.ts';

const IMAGE = `registry.example/lab/tool:1@sha256:${'0'.repeat(64)}`;

/** A platform whose jobs end so. */
async function setUp(end: Partial<OrderView> = {}) {
  const posted: Job[] = [];
  const storage = fakeStorage();
  storage.add('algo', Buffer.from('algo'), { uuid: IDS.algo });
  storage.add('data', Buffer.from('data'), { uuid: IDS.data });
  const { result: _result, ...base } = sampleOrder({ kind: 'job' });
  const orderOf = (id: string): OrderView => ({
    ...{ ...base, id, kind: 'job', result: { uuid: IDS.model, size: 2048 } },
    ...{ job: { image: IMAGE, inputs: [], command: ['--steps', '3'], labels: { run: '7' } } },
    ...end,
  });
  const platform = await fakePlatform({
    storage: storage.api,
    compute: {
      postJob: async ({ body }) => {
        posted.push(body);
        return { uuid: body.uuid, output: IDS.model };
      },
      getOrder: async ({ params }) => orderOf(params.id),
      listOrders: async ({ query }) => ({
        items: query.kind === 'job' ? [orderOf(IDS.order)] : [],
        total: 1,
      }),
      orderLogEvents: async () =>
        (async function* () {
          const chunk = {
            at: '2025-11-22T15:51:01.000Z',
            attempt: 1,
            step: 'job',
            stream: 'stdout' as const,
          };
          yield { id: '1', event: 'log', data: { ...chunk, text: 'step 1\n' } };
        })(),
    },
  });
  return {
    ...{ posted, storage, env: platform.env },
    [Symbol.asyncDispose]: () => platform[Symbol.asyncDispose](),
  };
}

test('A job is ordered, its log is printed, and its end is the exit code', async (t) => {
  await using fixture = await setUp();
  const argv = [
    'run',
    '--env',
    'A=b=c',
    '--label',
    'run=7',
    '--time',
    '2h',
    '--memory',
    '1GiB',
    '--gpus',
    '1',
  ];
  const { code, stdout, stderr } = await morpheo([...argv, IMAGE, '--', 'train', '--steps', '3'], {
    env: fixture.env,
  });
  t.is(code, 0, stderr);
  const { uuid, ...body } = fixture.posted[0] ?? { uuid: '' };
  t.deepEqual<unknown, unknown>(body, {
    ...{ image: IMAGE, command: ['train', '--steps', '3'], env: { A: 'b=c' }, labels: { run: '7' } },
    ...{ limits: { wall_seconds: 7200, memory_bytes: 2 ** 30 }, gpus: 1 },
  });
  t.is(stdout, 'step 1\n');
  t.is(
    stderr,
    `job ${uuid}\noutput ${IDS.model}, 2.05 kB\nFetch what it left with: morpheo get job ${uuid.slice(0, 8)} -o <folder>\n`,
  );
});

test('Nobody is told to fetch what was kept in a bucket alone', async (t) => {
  const outputs = { storage: false, bucket: { connection: 'lab', prefix: 'out/' } };
  await using fixture = await setUp({ job: { image: IMAGE, inputs: [], outputs } });
  const { code, stderr } = await morpheo(['run', IMAGE], { env: fixture.env });
  t.is(code, 0, stderr);
  t.notRegex(stderr, /Fetch/);
});

test('A job that failed says why, what it left, and ends with 1', async (t) => {
  const { status, failure } = failedOrder();
  await using fixture = await setUp({ status, ...(failure === undefined ? {} : { failure }) });
  const { code, stdout, stderr } = await morpheo(['run', IMAGE], { env: fixture.env });
  t.is(code, 1);
  t.is(stdout, 'step 1\n');
  t.regex(stderr, /exit_code in train: .*\n.*exit code 3\n.*\noutput /);
  t.notRegex(stderr, /reading train-1/, 'the log is there already');
});

test('An algorithm is named by the beginning of its id, and all words are its command', async (t) => {
  await using fixture = await setUp();
  const argv = ['run', '--algo', 'a1b6', '--detach', '--', 'train', '-x'];
  const { code, stdout, stderr } = await morpheo(argv, { env: fixture.env });
  t.is(code, 0, stderr);
  const [body] = fixture.posted;
  t.like(body, { algo: IDS.algo, command: ['train', '-x'], image: undefined });
  t.is(stdout, `✓ job ${body?.uuid}\n`);
  const quiet = await morpheo(['run', '--algo', 'a1b6', '-d', '-q', '--uuid', IDS.order], fixture);
  t.is(quiet.stdout, `${IDS.order}\n`);
  const json = await morpheo(['run', '--algo', 'a1b6', '-d', '--json', '--uuid', IDS.order], fixture);
  t.deepEqual(JSON.parse(json.stdout), { id: IDS.order, kind: 'job', output: IDS.model });
});

test('Inputs are things on storage, prefixes of buckets, and files, of which large ones are uploaded', async (t) => {
  await using fixture = await setUp();
  await using folder = await temporaryFolder();
  await writeFile(folder.file('small'), 'small');
  await writeFile(folder.file('large'), Buffer.alloc(MOST_IN_JOB.inlineBytes));
  const inputs = [
    ...['--input', '/in/data=data:3333', '--input', '/in/lab=bucket:lab/sets/a/'],
    ...['--input', `/in/small=@${folder.file('small')}`, '--unpack', `/in/large=@${folder.file('large')}`],
    ...['--out-bucket', 'lab/out', '--no-storage'],
  ];
  const { code, stderr } = await morpheo(['run', '-d', ...inputs, IMAGE], { env: fixture.env });
  t.is(code, 0, stderr);
  const uploaded = fixture.storage.kept.find(({ bytes }) => bytes.byteLength === MOST_IN_JOB.inlineBytes);
  t.like(fixture.posted[0], { outputs: { storage: false, bucket: { connection: 'lab', prefix: 'out' } } });
  t.deepEqual(fixture.posted[0]?.inputs, [
    { path: '/in/data', resource: { type: 'data', uuid: IDS.data } },
    { path: '/in/lab', bucket: { connection: 'lab', prefix: 'sets/a/' } },
    { path: '/in/small', inline: Buffer.from('small').toString('base64') },
    { path: '/in/large', resource: { type: 'data', uuid: uploaded?.resource.uuid ?? '' }, unpack: true },
  ]);
});

test('What is wrong with a job is told before anything is sent', async (t) => {
  await using fixture = await setUp();
  for (const [argv, said] of [
    [[], /Nothing says what is to run/],
    [['tool'], /The image "tool" should begin with its registry/],
    [[IMAGE, '--env', 'A'], /--env A has no =/],
    [[IMAGE, '--env', 'NVIDIA_X=1'], /env\.NVIDIA_X: should not be/],
    [[IMAGE, '--input', '/in'], /does not say what stands where/],
    [[IMAGE, '--input', '/in=thing:1'], /names nothing that there is/],
    [[IMAGE, '--input', '/in=@/nowhere/at/all'], /^error: \/nowhere\/at\/all is not there\.\n$/],
    [[IMAGE, '--input', '/outputs/a=data:3333'], /inputs\.0\.path: .*\/outputs/],
    [[IMAGE, '--no-storage'], /outputs: should go to storage/],
    [[IMAGE, '--time', 'soon'], /should be a duration/],
  ] as const) {
    const { code, stderr } = await morpheo(['run', ...argv], { env: fixture.env });
    t.is(code, 2, stderr);
    t.regex(stderr, said);
  }
  t.deepEqual(fixture.posted, []);
});

test('A tag is ordered as the digest that it has now, which its registry tells whom it knows', async (t) => {
  await using fixture = await setUp();
  await using folder = await temporaryFolder();
  const auth = { scheme: 'bearer', username: 'ann', password: 'a-password-of-ann' } as const;
  await using registry = await startTestRegistry({ auth });
  const digest = digestOf(Buffer.from('manifest'));
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = { bytes: Buffer.from('manifest'), digest, mediaType };
  registry.putOne('lab/tool', manifest, 'manifests', '1');
  const env = { ...fixture.env, DOCKER_CONFIG: folder.path };
  const image = `${registry.host}/lab/tool:1`;
  const stranger = await morpheo(['run', '-d', image], { env });
  t.is(stranger.code, 5, stranger.stderr);
  const known = Buffer.from(`${auth.username}:${auth.password}`).toString('base64');
  await writeFile(
    folder.file('config.json'),
    JSON.stringify({ auths: { [registry.host]: { auth: known } } }),
  );
  const { code, stderr } = await morpheo(['run', '-d', image], { env });
  t.is(code, 0, stderr);
  t.is(fixture.posted[0]?.image, `${image}@${digest}`);
  t.true(stderr.includes(`image ${image}@${digest}`));
  t.is((await morpheo(['run', '-d', `${registry.host}/lab/tool:2`], { env })).code, 4);
});

test('Jobs are listed, and one is shown with what it runs', async (t) => {
  await using fixture = await setUp();
  const { stdout } = await morpheo(['runs'], { env: fixture.env });
  t.regex(stdout, /6c7a2f5e +job .* tool:1 .* done +output f3b0c4d2/);
  const shown = await morpheo(['orders', 'show', IDS.order], { env: fixture.env });
  t.regex(shown.stdout, /image +registry\.example\/lab\/tool.*\n *command +--steps 3\n *labels +run=7/);
});

test('What a job leaves is fetched into a folder, also where it fails, and nothing is in its way', async (t) => {
  await using folder = await temporaryFolder();
  const { status, failure } = failedOrder();
  await using fixture = await setUp({ status, ...(failure === undefined ? {} : { failure }) });
  const entries = [{ name: 'deep/run', body: 'run', mode: 0o755 }];
  fixture.storage.add('output', rawTar(entries), { uuid: IDS.model });
  const out = folder.file('results');
  const { code, stderr } = await morpheo(['run', IMAGE, '--out', out], { env: fixture.env });
  t.is(code, 1);
  t.regex(stderr, /fetched 1 file, 3 B, into .*results/);
  t.is(await readFile(`${out}/deep/run`, 'utf8'), 'run');
  for (const [argv, said] of [
    [['--out', out], /is there already/],
    [['--out', 'x', '--detach'], /does not wait for it/],
  ] as const) {
    const refused = await morpheo(['run', IMAGE, ...argv], { env: fixture.env });
    t.is(refused.code, 2);
    t.regex(refused.stderr, said);
  }
  t.is(fixture.posted.length, 1);
});
