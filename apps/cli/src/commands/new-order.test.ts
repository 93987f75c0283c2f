import { type Learnuplet, NIL_UUID, PlatformError, type Preduplet } from '@morpheo/common';
import test from 'ava';
import { morpheo } from '../testing/morpheo.ts';
import { fakePlatform } from '../testing/platform.ts';
import { IDS, sampleHistory, sampleOrder } from '../testing/samples.ts';
import { fakeStorage } from '../testing/storage-fake.ts';

async function setUp() {
  const learned: Learnuplet[] = [];
  const predicted: Preduplet[] = [];
  const storage = fakeStorage();
  for (const [type, uuid] of [
    ['problem', IDS.workflow],
    ['algo', IDS.algo],
    ['data', IDS.train],
    ['data', IDS.test],
    ['data', IDS.data],
    ['model', IDS.model],
  ] as const) {
    storage.add(type, Buffer.from(uuid), { uuid });
  }
  const platform = await fakePlatform({
    storage: storage.api,
    compute: {
      learn: async ({ body }) => {
        learned.push(body);
        return { message: 'Learn-uplet ingested accordingly' };
      },
      pred: async ({ body }) => {
        predicted.push(body);
        return { message: 'Pred-uplet ingested' };
      },
      getOrder: async ({ params }) => sampleOrder({ id: params.id }),
      orderEvents: async () =>
        (async function* () {
          yield* sampleHistory();
        })(),
    },
  });
  return {
    learned,
    predicted,
    env: platform.env,
    [Symbol.asyncDispose]: () => platform[Symbol.asyncDispose](),
  };
}

const LEARN = [
  'learn',
  '--problem-workflow',
  '7d4a',
  '--algo',
  'a1b6',
  '--train',
  '1111',
  '3333',
  '--test',
  IDS.test,
];

test('A training is ordered by the beginnings of ids', async (t) => {
  await using fixture = await setUp();
  const { code, stdout, stderr } = await morpheo(LEARN, { env: fixture.env });
  t.is(code, 0, stderr);
  const [body] = fixture.learned;
  t.like(body, {
    problem: IDS.workflow,
    workflow: IDS.workflow,
    algo: IDS.algo,
    train_data: [IDS.train, IDS.data],
    test_data: [IDS.test],
    model_start: NIL_UUID,
    rank: 0,
    status: 'todo',
  });
  t.is(stdout, `✓ learn order ${body?.uuid}\n  its model will be  ${body?.model_end}\n`);
  t.is(stderr, `Watch it with: morpheo orders watch ${body?.uuid.slice(0, 8)}\n`);
});

test('An order names what its worker has to offer', async (t) => {
  await using fixture = await setUp();
  const needs = ['--needs', 'runtime=docker, arch=arm64,label.zone=a', '--needs', 'label.example.org/disk='];
  t.is((await morpheo([...LEARN, ...needs], { env: fixture.env })).code, 0);
  t.deepEqual(fixture.learned[0]?.needs, {
    ...{ runtime: 'docker', arch: 'arm64' },
    labels: { 'example.org/disk': '', zone: 'a' },
  });
  for (const [wrong, said] of [
    ['zone=a', /It should be runtime=…, arch=…, warm=… and label\.<key>=…/],
    ['arch=amd64,arch=arm64', /each once/],
    ['arch=x86_64', /arch: .*amd64/],
    ['label.-zone=a', /labels\.-zone: should be a name/],
  ] as const) {
    const { code, stderr } = await morpheo([...LEARN, '--needs', wrong], { env: fixture.env });
    t.is(code, 2);
    t.regex(stderr, said);
  }
});

test('The same order again is the same but for its time', async (t) => {
  await using fixture = await setUp();
  const argv = [...LEARN, '--uuid', IDS.order, '--json'];
  const { stdout, stderr } = await morpheo(argv, { env: fixture.env });
  await morpheo(argv, { env: fixture.env });
  const [first, second] = fixture.learned.map(({ timestamp_request: _time, ...body }) => body);
  t.deepEqual(first, second);
  t.deepEqual(JSON.parse(stdout), { id: IDS.order, kind: 'learn', model_end: first?.model_end });
  t.regex(first?.model_end ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  t.is(stderr, '');
});

test('A later rank goes on from a model', async (t) => {
  await using fixture = await setUp();
  t.is((await morpheo([...LEARN, '--model-start', 'f3b0', '-q'], { env: fixture.env })).code, 0);
  t.like(fixture.learned[0], { rank: 1, model_start: IDS.model });
  t.is((await morpheo([...LEARN, '--model-start', 'f3b0', '--rank', '2'], { env: fixture.env })).code, 0);
  t.is(fixture.learned[1]?.rank, 2);
  for (const wrong of [
    ['--rank', '1'],
    ['--rank', '0', '--model-start', 'f3b0'],
    ['--rank', '-1'],
    ['--rank', 'x'],
  ]) {
    t.is((await morpheo([...LEARN, ...wrong], { env: fixture.env })).code, 2, wrong.join(' '));
  }
});

test('An order asks for GPUs where it is told to', async (t) => {
  await using fixture = await setUp();
  const { env } = fixture;
  t.is((await morpheo([...LEARN, '-q'], { env })).code, 0);
  t.is((await morpheo([...LEARN, '--gpus', '2', '-q'], { env })).code, 0);
  const predict = ['predict', '--model', 'f3b0', '--data', '3333', '--workflow', '7d4a', '--gpus', '1', '-q'];
  t.is((await morpheo(predict, { env })).code, 0);
  t.deepEqual(
    [...fixture.learned, ...fixture.predicted].map(({ gpus }) => gpus),
    [undefined, 2, 1],
  );
  t.is((await morpheo([...LEARN, '--gpus', '65'], { env })).code, 2);
});

test('An order has a priority and an owner where it is told', async (t) => {
  await using fixture = await setUp();
  const { env } = fixture;
  t.is((await morpheo([...LEARN, '--priority', '-3', '--owner', 'lab', '-q'], { env })).code, 0);
  const predict = [
    'predict',
    '--model',
    'f3b0',
    '--data',
    '3333',
    '--workflow',
    '7d4a',
    '--priority',
    '10',
    '-q',
  ];
  t.is((await morpheo(predict, { env })).code, 0);
  t.like(fixture.learned[0], { priority: -3, owner: 'lab' });
  t.like(fixture.predicted[0], { priority: 10, owner: undefined });
  t.is((await morpheo([...LEARN, '--priority', '11'], { env })).code, 2);
});

test('An order is placed in a group where it is told', async (t) => {
  await using fixture = await setUp();
  const { env } = fixture;
  t.is((await morpheo([...LEARN, '--group', 'sweep-1', '-q'], { env })).code, 0);
  t.is(fixture.learned[0]?.group, 'sweep-1');
  const wrong = await morpheo([...LEARN, '--group', '-x/y'], { env });
  t.is(wrong.code, 2);
  t.regex(wrong.stderr, /letters, digits, dots, hyphens and underscores/);
});

test('An order can be watched at once', async (t) => {
  await using fixture = await setUp();
  const text = await morpheo([...LEARN, '--watch'], { env: fixture.env });
  t.is(text.code, 0);
  t.regex(text.stdout, /^✓ learn order [\s\S]*accepted\n[\s\S]*done\n {2}perf 0\.9380/);
  const json = await morpheo([...LEARN, '--watch', '--json'], { env: fixture.env });
  t.is(
    json.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown).length,
    sampleHistory().length + 1,
  );
});

test('A prediction is ordered', async (t) => {
  await using fixture = await setUp();
  const argv = ['predict', '--model', 'f3b0', '--data', '3333', '--workflow', '7d4a', '-q'];
  const { code, stdout } = await morpheo(argv, { env: fixture.env });
  t.is(code, 0);
  t.like(fixture.predicted[0], {
    model: IDS.model,
    data: IDS.data,
    workflow: IDS.workflow,
    problem: IDS.workflow,
  });
  t.is(stdout, `${fixture.predicted[0]?.uuid}\n`);
});

test('An order that is taken by another is exit code 5', async (t) => {
  const learn = async () => {
    throw new PlatformError('conflict', 'Another order has this id.');
  };
  await using platform = await fakePlatform({ compute: { learn } });
  const ids = [
    IDS.workflow,
    '--algo',
    IDS.algo,
    '--train',
    IDS.train,
    '--test',
    IDS.test,
    '--uuid',
    IDS.order,
  ];
  const { code, stdout, stderr } = await morpheo(['learn', '--problem-workflow', ...ids], {
    env: platform.env,
  });
  t.is(code, 5);
  t.is(stdout, '');
  t.is(stderr, 'error: Another order has this id.\n');
});
