import test from 'ava';
import { morpheo } from '../testing/morpheo.ts';
import { fakePlatform } from '../testing/platform.ts';
import { IDS } from '../testing/samples.ts';

test('A platform that is ready is exit code 0', async (t) => {
  await using platform = await fakePlatform({ checks: { database: async () => {} } });
  const { code, stdout } = await morpheo(['status'], { env: platform.env });
  t.is(code, 0);
  t.regex(
    stdout,
    new RegExp(`^storage +ready, \\d+ ms +${platform.storage.url}\n {2}database +ok\ncompute +ready`),
  );
});

test('The services of dicebox are asked as well, where the platform has them', async (t) => {
  await using platform = await fakePlatform({});
  const env = { ...platform.env, MORPHEO_DICEBOX_URL: platform.storage.url };
  const { stdout } = await morpheo(['status', '--json'], { env });
  const { items } = JSON.parse(stdout) as { items: { service: string; state: string }[] };
  t.like(items.at(-1), { service: 'dicebox', state: 'ready' });
  t.is(items.length, 3);
});

test('A part that does not answer is named with its reason', async (t) => {
  const broker = async () => {
    throw new Error('nsqd does not answer');
  };
  await using platform = await fakePlatform({ checks: { broker } });
  const { code, stdout } = await morpheo(['status'], { env: platform.env });
  t.is(code, 1);
  t.regex(stdout, /compute +not ready[^\n]*\n {2}broker +not ok +nsqd does not answer\n/);
});

test('A service that does not answer is exit code 3', async (t) => {
  await using platform = await fakePlatform({});
  const argv = ['status', '--json', '--orchestrator', 'http://127.0.0.1:1'];
  const { code, stdout } = await morpheo(argv, { env: platform.env });
  t.is(code, 3);
  const { items } = JSON.parse(stdout) as { items: { service: string; state: string }[] };
  t.deepEqual(
    items.map(({ service, state }) => [service, state]),
    [
      ['storage', 'ready'],
      ['compute', 'ready'],
      ['orchestrator', 'unreachable'],
    ],
  );
});

test('Workers are shown with what they run', async (t) => {
  const worker = {
    id: IDS.worker,
    name: 'left \u001b[1mone',
    runtime: 'process',
    arch: 'amd64' as const,
    labels: { zone: 'a' },
    alive: true,
    last_seen_at: '2025-11-22T15:51:00.000Z',
    slots: { learn: 2, predict: 1, job: 0 },
    gpus: { devices: [{ id: 'GPU-1', name: 'Fake', memory_bytes: 0 }], slots: 4, leased: 3 },
    running: [
      { order: IDS.order, attempt: 3, kind: 'learn' as const, gpus: 1, since: '2025-11-22T15:51:00.000Z' },
    ],
  };
  const gpus = { devices: [], slots: 1, leased: 0 };
  const { arch: _arch, labels: _labels, ...old } = worker;
  const items = [worker, { ...old, id: IDS.other, alive: false, running: [], gpus }];
  await using platform = await fakePlatform({ compute: { listWorkers: async () => ({ items }) } });
  const { stdout } = await morpheo(['workers'], { env: platform.env });
  t.regex(
    stdout,
    /^left .\[1mone +99999999 +alive +process +arch=amd64,label\.zone=a +1\/2 +0\/1 +0\/0 +3\/4 +\d+ d ago +6c7a2f5e #3$/m,
  );
  t.regex(stdout, /^left .\[1mone +6c7affff +lost +process +– +0\/2 +0\/1 +0\/0 +– +\d+ d ago +–$/m);
  t.false(stdout.includes('\u001b'));
  t.deepEqual(JSON.parse((await morpheo(['workers', '--json'], { env: platform.env })).stdout), { items });
});

test('The queue is shown, paused and resumed', async (t) => {
  let paused = false;
  await using platform = await fakePlatform({
    compute: {
      getQueue: async () => ({ paused, counts: { todo: 1200 } }),
      pauseQueue: async ({ body }) => {
        ({ paused } = body);
        return body;
      },
    },
  });
  const { env } = platform;
  t.regex((await morpheo(['queue'], { env })).stdout, /^The queue runs\.\n[\s\S]* {2}todo +1,200\n/);
  t.regex((await morpheo(['queue', 'pause'], { env })).stdout, /^The queue is paused/);
  t.deepEqual(JSON.parse((await morpheo(['queue', 'resume', '--json'], { env })).stdout), {
    paused: false,
    counts: { todo: 1200 },
  });
  t.is((await morpheo(['queue', 'stop'], { env })).code, 2);
});

test('What orders of a problem ask for is shown and set', async (t) => {
  let gpus = 0;
  await using platform = await fakePlatform({
    compute: {
      getProblemDefaults: async () => ({ gpus }),
      setProblemDefaults: async ({ params, body }) => {
        t.is(params.problem, IDS.workflow);
        ({ gpus } = body);
        return { gpus };
      },
    },
  });
  const { env } = platform;
  t.is((await morpheo(['defaults', IDS.workflow], { env })).stdout, 'gpus  0\n');
  t.is((await morpheo(['defaults', IDS.workflow, '--gpus', '2'], { env })).stdout, 'gpus  2\n');
  const { stdout } = await morpheo(['defaults', IDS.workflow, '--json'], { env });
  t.deepEqual(JSON.parse(stdout), { gpus: 2 });
  t.is((await morpheo(['defaults', '7d4a'], { env })).code, 2);
});

test('The weight of an owner is shown and set', async (t) => {
  let weight = 1;
  await using platform = await fakePlatform({
    compute: {
      getOwner: async () => ({ weight }),
      setOwner: async ({ params, body }) => {
        t.is(params.owner, 'lab');
        ({ weight } = body);
        return { weight };
      },
    },
  });
  const { env } = platform;
  t.is((await morpheo(['owners', 'lab'], { env })).stdout, 'weight  1\n');
  t.is((await morpheo(['owners', 'lab', '--weight', '3'], { env })).stdout, 'weight  3\n');
  t.deepEqual(JSON.parse((await morpheo(['owners', 'lab', '--json'], { env })).stdout), { weight: 3 });
  t.is((await morpheo(['owners', 'lab', '--weight', '0'], { env })).code, 2);
  t.is((await morpheo(['owners', '--weight', '2'], { env })).code, 2);
});

test('Owners are listed with what each has and gets', async (t) => {
  const counts = { waiting: 0, due: 1200, running: 3 };
  const pages = [
    { items: [{ owner: 'anonymous', weight: 1, ...counts, share: { learn: 0.25 } }], next: 'anonymous' },
    { items: [{ owner: 'l\u001b[1mab', weight: 3, ...counts, due: 0, share: { learn: 0.75, predict: 1 } }] },
  ];
  const bytes = { freeable_bytes: 0, kinds: [] };
  const owners = [
    { owner: '', bytes: 5000, ...bytes },
    { owner: 'bob', bytes: 1_000_000, reserved_bytes: 500_000, quota: 2_000_000, ...bytes },
  ];
  const cursors: (string | undefined)[] = [];
  await using platform = await fakePlatform({
    compute: {
      listOwners: async ({ query }) => {
        cursors.push(query.cursor);
        return pages[cursors.length - 1] ?? { items: [] };
      },
    },
    storage: { usage: async () => ({ owners, bytes: 0, blobs: 0, stored_bytes: 0, saved_bytes: 0 }) },
  });
  const { stdout, code } = await morpheo(['owners'], { env: platform.env });
  t.is(code, 0);
  t.deepEqual(cursors, [undefined, 'anonymous']);
  t.regex(stdout, /^anonymous +1 +learn 25 % +0 +1,200 +3 +5\.00 kB +–$/m);
  t.regex(stdout, /^bob +1 +– +0 +0 +0 +1\.50 MB +2\.00 MB$/m);
  t.regex(stdout, /^l.\[1mab +3 +learn 75 %, predict 100 % +0 +0 +3 +0 B +–$/m);
  t.false(stdout.includes('\u001b'));
});
