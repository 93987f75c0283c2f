import {
  type Disclosed,
  type Failure,
  type OrderEvent,
  type OrderSummary,
  orderSummary,
  PlatformError,
} from '@morpheo/common';
import { freePort } from '@morpheo/real-parts';
import test from 'ava';
import { morpheo, startMorpheo } from '../../testing/morpheo.ts';
import { fakePlatform } from '../../testing/platform.ts';
import { failedOrder, IDS, sampleHistory, sampleOrder } from '../../testing/samples.ts';

const twoOrders = [sampleOrder(), { ...failedOrder(), id: IDS.other }].map((order) =>
  orderSummary.parse(order),
);

function pagesOf(orders: readonly OrderSummary[], size: number) {
  return async ({ query }: { query: { cursor?: string | undefined; limit?: number | undefined } }) => {
    const from = Number(query.cursor ?? 0);
    const next = from + size < orders.length ? { next: String(from + size) } : {};
    return { items: orders.slice(from, from + size), total: orders.length, ...next };
  };
}

async function* stream<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

async function* never<T>(signal: AbortSignal | undefined): AsyncGenerator<T> {
  await new Promise((resolve) => signal?.addEventListener('abort', resolve));
}

test('A list shows what came of each order', async (t) => {
  await using platform = await fakePlatform({ compute: { listOrders: pagesOf(twoOrders, 30) } });
  const { code, stdout, stderr } = await morpheo(['orders', 'list'], { env: platform.env });
  t.is(code, 0);
  const [head, done, failed] = stdout.split('\n');
  t.regex(head ?? '', /^order +kind +rank +algo +created +took +status +outcome$/);
  t.regex(done ?? '', /^6c7a2f5e +learn +0 +a1b6e2de +.* 2\.5 s +done +perf 0\.9380$/);
  t.regex(failed ?? '', /^6c7affff .* failed +exit_code in train$/);
  t.is(stderr, '2 of 2 orders\n');
});

test('Filters go to the platform and its page comes back as JSON', async (t) => {
  const asked: unknown[] = [];
  const listOrders = async ({ query }: { query: object }) => {
    asked.push({ ...query });
    return { items: twoOrders, total: 7, next: 'more' };
  };
  await using platform = await fakePlatform({ compute: { listOrders } });
  const argv = [
    'orders',
    'list',
    '--kind',
    'learn',
    '--status',
    'failed',
    '--limit',
    '2',
    '--cursor',
    'c',
    '--json',
  ];
  const { stdout, stderr } = await morpheo([...argv, '--algo', IDS.algo.toUpperCase()], {
    env: platform.env,
  });
  t.deepEqual(asked, [{ kind: 'learn', status: 'failed', limit: 2, cursor: 'c', algo: IDS.algo }]);
  t.deepEqual(JSON.parse(stdout), { items: twoOrders, total: 7, next: 'more' });
  t.is(stderr, '');
});

test('All orders are listed page by page', async (t) => {
  await using platform = await fakePlatform({ compute: { listOrders: pagesOf(twoOrders, 1) } });
  const table = await morpheo(['orders', 'list', '--all'], { env: platform.env });
  t.is(table.stdout.match(/^order /gm)?.length, 1);
  t.regex(table.stdout, /6c7a2f5e[^\n]*\n6c7affff/);
  const { stdout } = await morpheo(['orders', 'list', '--all', '--json'], { env: platform.env });
  t.deepEqual(JSON.parse(stdout), { items: twoOrders, total: 2 });
});

test('No orders are said to be none', async (t) => {
  await using platform = await fakePlatform({ compute: { listOrders: pagesOf([], 30) } });
  t.is((await morpheo(['orders', 'list'], { env: platform.env })).stdout, 'No orders.\n');
  t.is((await morpheo(['runs'], { env: platform.env })).stdout, 'No jobs.\n');
  t.regex(
    (await morpheo(['runs', '--label', 'sweep'], { env: platform.env })).stderr,
    /should be name=value, such as sweep=7/,
  );
  const { stdout } = await morpheo(['orders', 'list', '--all', '--json'], { env: platform.env });
  t.deepEqual(JSON.parse(stdout), { items: [], total: 0 });
});

test('An order is found by the beginning of its id', async (t) => {
  await using platform = await fakePlatform({
    compute: {
      listOrders: pagesOf(twoOrders, 1),
      getOrder: async ({ params }) => sampleOrder({ id: params.id }),
    },
  });
  const { env } = platform;
  const { stdout } = await morpheo(['orders', 'show', '6C7AF', '--json'], { env });
  t.is((JSON.parse(stdout) as OrderSummary).id, IDS.other);
  const ambiguous = await morpheo(['orders', 'show', '6c7a'], { env });
  t.is(ambiguous.code, 2);
  t.regex(ambiguous.stderr, /6c7a begins the ids of 2 orders: 6c7a2f5e.*, 6c7affff.*\nGive more digits\.\n$/);
  t.is((await morpheo(['orders', 'show', 'ffff'], { env })).code, 4);
  t.is((await morpheo(['orders', 'show', '6c7'], { env })).code, 2);
});

test('A failed order is shown with its reason, advice and log', async (t) => {
  await using platform = await fakePlatform({ compute: { getOrder: async () => failedOrder() } });
  const { code, stdout } = await morpheo(['orders', 'show', IDS.order], { env: platform.env });
  t.is(code, 0);
  t.regex(stdout, /^exit_code in train: The container.*\n {2}exit code 3\n {2}Read the log/m);
  t.true(stdout.includes('  │ Error: no digit \uFFFD[31m11'));
});

test('Of a failure whose log its viewer is not shown, no advice sends them there', async (t) => {
  const failure: Failure = { reason: 'exit_code', message: 'It failed.', step: 'train' };
  const texts = async (train: Disclosed, sample?: string) => {
    const order = { ...failedOrder(), failure, shown: { train }, ...(sample && { sample_order: sample }) };
    await using platform = await fakePlatform({
      compute: {
        getOrder: async () => order,
        orderEvents: async () => stream(sampleHistory('failed')),
        whyOrder: async () => ({ code: 'ended', sentence: 'It has failed.' }),
      },
    });
    const { env } = platform;
    const read = async (command: string) => (await morpheo(['orders', command, IDS.order], { env })).stdout;
    return { show: await read('show'), watch: await read('watch'), why: await read('why') };
  };
  const hidden = await texts('summary', IDS.other);
  t.notRegex(hidden.watch, /Read the/);
  t.regex(hidden.watch, /\n {2}Its log is not shown to you: /);
  for (const text of Object.values(hidden)) t.regex(text, new RegExp(`public sample.* watch ${IDS.other}`));
  const ends = await texts({ last_bytes: 2000 });
  t.regex(ends.show, new RegExp(`Read the end of what it printed: morpheo logs ${IDS.order}`));
  t.notRegex(ends.why, /sample/);
  t.regex((await texts('all')).watch, /\n {2}Read the log/);
});

test('Watching tells each event and ends with the order', async (t) => {
  const history = sampleHistory();
  await using platform = await fakePlatform({
    compute: { getOrder: async () => sampleOrder(), orderEvents: async () => stream(history) },
  });
  const { code, stdout } = await morpheo(['orders', 'watch', IDS.order], { env: platform.env });
  t.is(code, 0);
  t.deepEqual(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/^\d\d:\d\d:\d\d/, '').trim()),
    [
      'accepted',
      '#1  a worker took it (99999999)',
      '#1  train …',
      '#1  train  0.63 s, peak 54.0 MB',
      '#1  the result is being published',
      '#1  done',
      `perf 0.9380, model ${IDS.model}, 12.3 kB`,
    ],
  );
});

test('Who watches an order whose steps are not all shown is told why they come late', async (t) => {
  const orders = [sampleOrder({ status: 'pending', shown: { train: 'summary' } })];
  await using platform = await fakePlatform({
    compute: {
      getOrder: async () => orders.pop() ?? sampleOrder(),
      orderEvents: async () => stream(sampleHistory()),
    },
  });
  const { code, stderr } = await morpheo(['orders', 'watch', IDS.order], { env: platform.env });
  t.is(code, 0);
  t.regex(stderr, /told when their attempt is over/);
});

test('A watched order that fails is exit code 1 with the reason', async (t) => {
  const history = sampleHistory('failed');
  await using platform = await fakePlatform({
    compute: { getOrder: async () => failedOrder(), orderEvents: async () => stream(history) },
  });
  const { code, stdout } = await morpheo(['orders', 'watch', IDS.order], { env: platform.env });
  t.is(code, 1);
  t.regex(
    stdout,
    /failed: exit_code in train: The container.*\n {2}exit code 3\n {2}Read the log.*\n {2}│ reading/,
  );
});

test('Watching as JSON is an event a line and then the order', async (t) => {
  const history = sampleHistory();
  await using platform = await fakePlatform({
    compute: { getOrder: async () => sampleOrder(), orderEvents: async () => stream(history) },
  });
  const { stdout } = await morpheo(['orders', 'watch', IDS.order, '--json'], { env: platform.env });
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as OrderEvent | OrderSummary);
  t.deepEqual(
    lines.slice(0, -1),
    JSON.parse(JSON.stringify(history.map((event) => event.data))) as OrderEvent[],
  );
  t.is((lines.at(-1) as OrderSummary).id, IDS.order);
});

test('Watching outlasts a restart of the service', async (t) => {
  const history = sampleHistory();
  const port = await freePort();
  const before = await fakePlatform({
    ports: { compute: port },
    compute: {
      getOrder: async () => sampleOrder({ status: 'pending' }),
      orderEvents: async (_input, call) =>
        (async function* () {
          yield* history.slice(0, 3);
          yield* never<(typeof history)[number]>(call?.signal);
        })(),
    },
  });
  const env = {
    MORPHEO_HOME: '/nowhere',
    MORPHEO_COMPUTE_URL: before.compute.url,
    MORPHEO_USER: before.credentials.name,
    MORPHEO_PASSWORD: before.credentials.secret,
  };
  const watching = startMorpheo(['orders', 'watch', IDS.order], { env });
  await watching.stdout.until('train …');
  await before[Symbol.asyncDispose]();
  const resumedAfter: (string | undefined)[] = [];
  await using _after = await fakePlatform({
    ports: { compute: port },
    compute: {
      getOrder: async () => sampleOrder(),
      orderEvents: async ({ headers }) => {
        resumedAfter.push(headers['last-event-id']);
        return stream(history.slice(3));
      },
    },
  });
  const { code, stdout, stderr } = await watching.ended;
  t.is(code, 0);
  t.deepEqual(resumedAfter, ['3']);
  t.is(stdout.match(/accepted/g)?.length, 1);
  t.regex(stdout, /train {2}0\.63 s[\s\S]*done\n/);
  t.is(stderr, 'The connection was cut; this goes on when it is back.\n');
});

test('Watching what is not there is exit code 4 at once', async (t) => {
  const getOrder = async () => {
    throw new PlatformError('not_found', 'There is no such order.');
  };
  await using platform = await fakePlatform({ compute: { getOrder } });
  t.is((await morpheo(['orders', 'watch', IDS.order], { env: platform.env })).code, 4);
});

test('A due order shows its place and when it should start', async (t) => {
  const queue = { place: 35, expected_start: '2025-11-22T16:00:00.000Z', basis: '34 orders before it.' };
  const due = sampleOrder({ status: 'todo', owner: 'lab', priority: 2, queue });
  await using platform = await fakePlatform({ compute: { getOrder: async () => due } });
  const { stdout } = await morpheo(['orders', 'show', IDS.order], { env: platform.env });
  for (const line of [/^owner +lab$/m, /^priority +2$/m, /^place +35$/m, /^starts +about /m])
    t.regex(stdout, line);
  t.true(stdout.includes(queue.basis));
});

test('An order can be cancelled, retried and asked why', async (t) => {
  const why = { code: 'position' as const, sentence: '7 orders of its kind are before it.', before: 7 };
  await using platform = await fakePlatform({
    compute: {
      cancelOrder: async () => sampleOrder({ status: 'cancelled' }),
      retryOrder: async () => sampleOrder({ status: 'todo' }),
      whyOrder: async () => why,
    },
  });
  const { env } = platform;
  t.is((await morpheo(['orders', 'cancel', IDS.order], { env })).stdout, `order ${IDS.order} is cancelled\n`);
  t.is((await morpheo(['orders', 'retry', IDS.order], { env })).stdout, `order ${IDS.order} is todo\n`);
  t.is((await morpheo(['orders', 'why', IDS.order], { env })).stdout, `position  ${why.sentence}\n`);
  t.deepEqual(JSON.parse((await morpheo(['orders', 'why', IDS.order, '--json'], { env })).stdout), why);
});
