import test from 'ava';
import { newJob, openShepherd } from '../testing/open-shepherd.ts';

const open = async (options: Parameters<typeof openShepherd>[0] = {}) =>
  await openShepherd({ dialect: '0.4', ...options });

const FAILED = {
  reason: 'exit_code',
  message: 'It failed.',
  exception: { message: 'ValueError: bad' },
} as const;

test('A job is started, and its bucket has the marker done when it has ended', async (t) => {
  await using shepherd = await open();
  const { platform, ask } = shepherd;
  const body = newJob();
  const id = body.job_id;
  const started = await shepherd.start(body);
  t.deepEqual([started.status, await started.json()], [200, { success: true }]);
  t.deepEqual(await (await ask(id, 'ready')).json(), { ready: false, finished_at: null });
  t.deepEqual(
    [(await ask(id, 'result')).status, await (await ask(id, 'result')).json()],
    [202, { ready: false }],
  );
  const waiting = ask(id, 'wait_ready');
  await platform.work(id, { files: { output: '42' } });
  t.deepEqual(await (await waiting).json(), { ready: true });
  t.is(await shepherd.file(id, 'done'), '');
  t.is(await shepherd.file(id, 'error'), undefined);
  t.is(await shepherd.file(id, 'job_status.json'), undefined);
  const result = await ask(id, 'result');
  t.deepEqual([result.status, await result.text()], [200, '42']);
  const none = await ask(id, 'result/other');
  t.deepEqual([none.status, await none.json()], [404, { message: 'Requested file does not exist' }]);
});

test('A job that has ended says when, to the microsecond and without a zone', async (t) => {
  await using shepherd = await open();
  const body = newJob();
  await shepherd.start(body);
  shepherd.platform.end(body.job_id, { files: {} });
  t.deepEqual(await (await shepherd.ask(body.job_id, 'ready')).json(), {
    ready: true,
    finished_at: '2019-01-01T12:15:00.005000',
  });
  // From here on the time is that of the marker.
  const again = (await (await shepherd.ask(body.job_id, 'ready')).json()) as { finished_at: string };
  t.regex(again.finished_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/);
});

test('A job that failed is ready, its result is 500, and its bucket has the text', async (t) => {
  await using shepherd = await open();
  const { platform, ask } = shepherd;
  const body = newJob();
  const id = body.job_id;
  await shepherd.start(body);
  await platform.work(id, { failure: FAILED });
  t.like(await (await ask(id, 'ready')).json(), { ready: true });
  t.deepEqual(await (await ask(id, 'wait_ready')).json(), { ready: true });
  for (const what of ['result', 'result/other']) {
    const result = await ask(id, what);
    t.deepEqual([result.status, await result.json()], [500, { message: 'ValueError: bad' }]);
  }
  t.is(await shepherd.file(id, 'error'), 'ValueError: bad');
  t.is(await shepherd.file(id, 'done'), '');
});

test('What dialect 0.5 has beyond it is not there', async (t) => {
  await using shepherd = await open();
  const body = newJob();
  await shepherd.start(body);
  for (const what of ['status', 'input', 'input/input'])
    t.is((await shepherd.ask(body.job_id, what)).status, 404);
  const sheep = (await (await fetch(`${shepherd.url}/status`)).json()) as object;
  t.deepEqual(Object.keys(sheep), ['containers']);
  const spec = (await (await fetch(`${shepherd.url}/spec.json`)).json()) as { paths: object };
  t.true('/jobs/{job_id}/ready' in spec.paths);
  t.false('/jobs/{job_id}/status' in spec.paths);
});

test('A job that is not there is 400, one with the same payload again 409', async (t) => {
  await using shepherd = await open();
  for (const what of ['ready', 'wait_ready', 'result', 'result/a']) {
    const answer = await shepherd.ask('not-there', what);
    t.deepEqual(
      [answer.status, await answer.json()],
      [400, { message: 'Minio bucket `not-there` does not exist' }],
    );
  }
  const body = newJob();
  t.is((await shepherd.start(body)).status, 200);
  const again = await shepherd.start(body);
  t.deepEqual(
    [again.status, await again.json()],
    [409, { message: 'A job with this ID was already submitted' }],
  );
});

test('A job without a payload that was started already, or has ended, is not started again', async (t) => {
  await using shepherd = await open();
  const { platform, store } = shepherd;
  const body = newJob({ payload: undefined });
  const id = body.job_id;
  await store.create(id);
  await store.put(id, 'inputs/input', Buffer.from('1'));
  for (let times = 0; times < 2; times += 1) t.is((await shepherd.start(body)).status, 200);
  await platform.work(id, { files: {} });
  t.is((await shepherd.start(body)).status, 200);
  platform.forget(id);
  t.is((await shepherd.start(body)).status, 200);
  t.is(platform.jobOf(id), undefined);
});

test('wait_ready answers 504 where that takes too long', async (t) => {
  await using shepherd = await open({ waitMs: 1 });
  const body = newJob();
  await shepherd.start(body);
  const answer = await shepherd.ask(body.job_id, 'wait_ready');
  t.deepEqual([answer.status, await answer.json()], [504, { ready: false }]);
});

test('A store that is away is 503', async (t) => {
  await using shepherd = await open();
  shepherd.platform.away.compute = true;
  t.is((await shepherd.start(newJob())).status, 503);
});
