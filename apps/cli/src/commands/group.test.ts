import { type GroupEvent, type OrderGroupView, PlatformError, type ServerEvent } from '@morpheo/common';
import test from 'ava';
import { morpheo } from '../testing/morpheo.ts';
import { fakePlatform } from '../testing/platform.ts';
import { IDS } from '../testing/samples.ts';

const NONE = { waiting: 0, todo: 0, pending: 0, done: 0, failed: 0, cancelled: 0 };

/** A group of three orders, one of which failed; `changes` make it another. */
function aGroup(changes: Partial<OrderGroupView> = {}): OrderGroupView {
  return {
    name: 'sweep',
    owner: 'ann',
    created_at: '2025-11-22T15:51:00.000Z',
    last_created_at: '2025-11-22T15:51:01.000Z',
    ended_at: '2025-11-22T15:53:05.000Z',
    orders: 3,
    counts: { ...NONE, done: 2, failed: 1 },
    best: [{ workflow: IDS.workflow, score: 0.938, order: IDS.order }],
    failures: { exit_code: 1 },
    ...changes,
  };
}

async function* stream(...events: GroupEvent[]): AsyncGenerator<ServerEvent<GroupEvent>> {
  for (const [n, data] of events.entries())
    yield { id: String(n + 1), event: data.ended ? 'ended' : 'orders', data };
}

test('Groups are listed with how their orders stand', async (t) => {
  const asked: unknown[] = [];
  await using platform = await fakePlatform({
    compute: {
      listOrderGroups: async ({ query }) => {
        asked.push({ ...query });
        return query.cursor === undefined
          ? { items: [aGroup()], total: 10_000, more: true, next: '1.a' }
          : { items: [aGroup({ name: 'a', orders: 0, counts: NONE })], total: 10_000, more: true };
      },
    },
  });
  const { env } = platform;
  const { code, stdout, stderr } = await morpheo(['group', 'list'], { env });
  t.is(code, 0, stderr);
  t.regex(stdout, /^group +owner +created +orders +waiting +todo +pending +done +failed +cancelled\n/);
  t.regex(stdout, /\nsweep +ann +2025-11-22 .* +3 +2 +1\n/);
  t.is(stderr, '1 of more than 10,000 groups; more: --cursor 1.a, or --all\n');
  const all = await morpheo(['group', 'list', '--all', '--owner', 'ann', '--json'], { env });
  const { items } = JSON.parse(all.stdout) as { items: { name: string }[] };
  t.deepEqual(
    items.map(({ name }) => name),
    ['sweep', 'a'],
  );
  t.deepEqual(asked.slice(1), [
    { owner: 'ann', limit: 200 },
    { owner: 'ann', limit: 200, cursor: '1.a' },
  ]);
});

test('A group is shown with its best score and what failed', async (t) => {
  await using platform = await fakePlatform({ compute: { getOrderGroup: async () => aGroup() } });
  const { env } = platform;
  const { code, stdout } = await morpheo(['group', 'show', 'sweep'], { env });
  t.is(code, 0);
  for (const line of [
    /^orders +3 orders: 2 done, 1 failed$/m,
    new RegExp(`^best +perf 0\\.9380, order ${IDS.order}$`, 'm'),
    /^failed +1 with exit_code$/m,
    /^took +2 min 05 s$/m,
  ])
    t.regex(stdout, line);
  t.deepEqual(JSON.parse((await morpheo(['group', 'show', 'sweep', '--json'], { env })).stdout), aGroup());
});

test('A watched group tells each order that ends once, and how far it is', async (t) => {
  const waiting = aGroup({ counts: { ...NONE, todo: 2, done: 1 }, ended_at: undefined, failures: {} });
  const views = [waiting];
  await using platform = await fakePlatform({
    compute: {
      getOrderGroup: async () => views.pop() ?? aGroup(),
      orderGroupEvents: async () =>
        stream(
          {
            counts: { ...NONE, todo: 1, done: 1, pending: 1 },
            orders: [
              { order: IDS.order, status: 'done', score: 0.938 },
              { order: IDS.other, status: 'pending' },
            ],
            ended: false,
          },
          // As a stream that was cut begins again.
          {
            counts: aGroup().counts,
            orders: [
              { order: IDS.order, status: 'done', score: 0.938 },
              { order: IDS.other, status: 'failed', reason: 'exit_code' },
            ],
            ended: true,
          },
        ),
    },
  });
  const { code, stdout, stderr } = await morpheo(['group', 'watch', 'sweep'], { env: platform.env });
  t.is(code, 1);
  t.is(stderr, '3 orders: 2 todo, 1 done\n');
  const lines = stdout.split('\n').map((line) => line.replace(/^\d\d:\d\d:\d\d /, ''));
  t.is(lines[0], `1/3  ${IDS.order}  done  perf 0.9380`);
  t.is(lines[1], `2/3  ${IDS.other}  failed  exit_code`);
  t.regex(lines[2] ?? '', /^group +sweep$/);
});

test('Watching as JSON is the news a line and then the group; all done is exit code 0', async (t) => {
  const group = aGroup({ counts: { ...NONE, done: 3 }, failures: {} });
  const event: GroupEvent = { counts: group.counts, orders: [], ended: true };
  await using platform = await fakePlatform({
    compute: { getOrderGroup: async () => group, orderGroupEvents: async () => stream(event) },
  });
  const { code, stdout } = await morpheo(['group', 'watch', 'sweep', '--json'], { env: platform.env });
  t.is(code, 0);
  t.deepEqual(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
    [event, group],
  );
});

test('A group is cancelled and retried as one', async (t) => {
  const asked: unknown[] = [];
  const under_way = { what: 'cancel', by: 'ann', at: '2025-11-22T15:51:00.000Z', under_way: true } as const;
  await using platform = await fakePlatform({
    compute: {
      cancelOrderGroup: async ({ params, query }) => {
        asked.push([{ ...params }, { ...query }]);
        return aGroup({ counts: { ...NONE, todo: 1, cancelled: 2 }, asked: under_way });
      },
      retryOrderGroup: async ({ body }) => {
        asked.push(body);
        return aGroup({ counts: { ...NONE, waiting: 3 } });
      },
    },
  });
  const { env } = platform;
  const cancelled = await morpheo(['group', 'cancel', 'sweep', '--owner', 'ann'], { env });
  t.is(cancelled.stdout, 'group sweep: 3 orders: 1 todo, 2 cancelled\n');
  t.is(cancelled.stderr, 'It has many orders, and goes on: morpheo group watch sweep\n');
  t.is((await morpheo(['group', 'retry', 'sweep'], { env })).stdout, 'group sweep: 3 orders: 3 waiting\n');
  t.is((await morpheo(['group', 'retry', 'sweep', '--cancelled', '--json'], { env })).code, 0);
  t.deepEqual(asked, [[{ name: 'sweep' }, { owner: 'ann' }], {}, { cancelled: true }]);
});

test('A group that is not there is exit code 4, and a name that is none exit code 2', async (t) => {
  const getOrderGroup = async () => {
    throw new PlatformError('not_found', 'There is no group sweep of ann.');
  };
  await using platform = await fakePlatform({ compute: { getOrderGroup } });
  const { env } = platform;
  for (const command of ['show', 'watch'])
    t.is((await morpheo(['group', command, 'sweep'], { env })).code, 4);
  t.is((await morpheo(['group', 'show', 'a b'], { env })).code, 2);
  t.is((await morpheo(['orders', 'list', '--group', '..'], { env })).code, 2);
});
