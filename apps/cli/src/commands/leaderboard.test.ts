import { type OrderSummary, orderSummary } from '@morpheo/common';
import test from 'ava';
import type { Entry } from '../leaderboard/rank.ts';
import { morpheo } from '../testing/morpheo.ts';
import { type FakePlatform, fakePlatform } from '../testing/platform.ts';
import { IDS, sampleOrder } from '../testing/samples.ts';
import { fakeStorage } from '../testing/storage-fake.ts';

const OTHER_WORKFLOW = 'eeeeeeee-6c1b-4c55-9d7a-5d9b0a5be002';
const OTHER_ALGO = 'bbbbbbbb-3a1f-4d6c-bb1e-6a7a51c7e003';

function trained(perf: number, changes: Partial<OrderSummary>): OrderSummary {
  const { result, ...order } = sampleOrder();
  const performance = { perf, train_perf: { a: 0.5, b: 1 }, test_perf: {} };
  return orderSummary.parse({
    ...order,
    id: crypto.randomUUID(),
    result: { ...result, performance },
    ...changes,
  });
}

async function setUp(orders: readonly OrderSummary[]): Promise<FakePlatform> {
  const storage = fakeStorage();
  storage.add('algo', Buffer.from('x'), { uuid: IDS.algo, name: 'small-network' });
  storage.add('problem', Buffer.from('x'), { uuid: IDS.workflow, name: 'digits' });
  return await fakePlatform({
    storage: storage.api,
    compute: {
      listOrders: async ({ query }) => {
        const cursor = Number(query.cursor ?? 0);
        const next = cursor + 1 < orders.length ? { next: String(cursor + 1) } : {};
        return { items: orders.slice(cursor, cursor + 1), total: orders.length, ...next };
      },
    },
  });
}

async function board(
  platform: FakePlatform,
  ...flags: string[]
): Promise<(Entry & { algo_name: string | null })[]> {
  const { stdout } = await morpheo(['leaderboard', '--json', ...flags], { env: platform.env });
  return (JSON.parse(stdout) as { items: (Entry & { algo_name: string | null })[] }).items;
}

test('Trainings stand best first, with equal places for equal scores', async (t) => {
  await using platform = await setUp([
    trained(0.8, {}),
    trained(0.9, { algo: OTHER_ALGO, rank: 2 }),
    trained(0.9, {}),
  ]);
  const items = await board(platform);
  t.deepEqual(
    items.map(({ place, perf }) => [place, perf]),
    [
      [1, 0.9],
      [1, 0.9],
      [3, 0.8],
    ],
  );
  t.like(items[2], { algo_name: 'small-network', train_perf: 0.75, seconds: 2.5, model: IDS.model, rank: 0 });
  t.false('test_perf' in (items[2] ?? {}));
});

test('Each problem has a board of its own', async (t) => {
  await using platform = await setUp([trained(12, { workflow: OTHER_WORKFLOW }), trained(0.9, {})]);
  t.deepEqual(
    (await board(platform)).map(({ place, perf }) => [place, perf]),
    [
      [1, 0.9],
      [1, 12],
    ],
  );
  t.deepEqual(
    (await board(platform, '--workflow', '7d4a')).map(({ perf }) => perf),
    [0.9],
  );
  const { stdout } = await morpheo(['leaderboard'], { env: platform.env });
  t.regex(
    stdout,
    new RegExp(`^digits {2}${IDS.workflow}\n# [\\s\\S]*\n\nproblem workflow {2}${OTHER_WORKFLOW}\n`),
  );
});

test('A board shows names, a bar for each score, and times', async (t) => {
  await using platform = await setUp([trained(0.5, { algo: OTHER_ALGO }), trained(1, {})]);
  const [, head, first, second] = (await morpheo(['leaderboard'], { env: platform.env })).stdout.split('\n');
  t.regex(head ?? '', /^# +algorithm +rank +perf +train +test +took +model$/);
  t.regex(first ?? '', /^1 +small-network +0 +1\.0000 +█{20} +0\.7500 +– +2\.5 s +f3b0c4d2$/);
  t.regex(second ?? '', /^2 +bbbbbbbb +0 +0\.5000 +█{10} +0\.7500 +– +2\.5 s +f3b0c4d2$/);
});

test('Only the best of each algorithm is asked for', async (t) => {
  await using platform = await setUp([
    trained(0.7, {}),
    trained(0.9, {}),
    trained(0.8, { algo: OTHER_ALGO }),
  ]);
  t.deepEqual(
    (await board(platform, '--best')).map(({ perf }) => perf),
    [0.9, 0.8],
  );
  t.deepEqual(
    (await board(platform, '--limit', '1')).map(({ perf }) => perf),
    [0.9],
  );
});

test('A board without storage shows ids in place of names', async (t) => {
  await using platform = await setUp([trained(0.9, {})]);
  const env = { ...platform.env, MORPHEO_STORAGE_URL: 'http://127.0.0.1:1' };
  const { code, stdout, stderr } = await morpheo(['leaderboard'], { env });
  t.is(code, 0);
  t.regex(stdout, /1 +a1b6e2de/);
  t.regex(stderr, /^Names are missing: .*127\.0\.0\.1:1/);
});

test('A board without trainings says so', async (t) => {
  await using platform = await setUp([]);
  t.is((await morpheo(['leaderboard'], { env: platform.env })).stdout, 'No training is done yet.\n');
  t.deepEqual(await board(platform), []);
});
