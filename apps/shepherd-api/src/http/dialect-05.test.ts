import type { Failure } from '@morpheo/common';
import test from 'ava';
import { z } from 'zod';
import { newJob, openShepherd, post } from '../testing/open-shepherd.ts';

const STATUS = {
  model: { name: 'ocr', version: '1.0.42' },
  enqueued_at: '2019-01-01T12:00:00.000000',
};

const FAILED = {
  reason: 'exit_code',
  message: 'The program failed: ValueError: bad',
  exception: { message: 'ValueError: bad', type: "<class 'ValueError'>", traceback: '[1]' },
} as const;

test('A job is started, worked on, and its result is fetched', async (t) => {
  await using shepherd = await openShepherd();
  const { platform, ask } = shepherd;
  const body = newJob();
  const id = body.job_id;
  const started = await shepherd.start(body);
  t.is(started.status, 200);
  t.deepEqual(await started.json(), { success: true });
  t.deepEqual(platform.inputsOf(id), { '/in/input': '{"input":"42"}' });
  t.is(await shepherd.file(id, 'inputs/input'), '{"input":"42"}');
  t.like(platform.jobOf(id), { warm: 'zeromq' });
  t.regex(platform.jobOf(id)?.image ?? '', /^registry.example:5000\/ocr:1.0.42@sha256:/);
  t.is((await ask(id, 'result')).status, 202);
  platform.begin(id);
  t.like(await (await ask(id, 'status')).json(), { status: 'processing' });
  platform.end(id, { files: { output: '{"result":42}', 'pages/1.txt': 'one' } });
  t.is(await platform.tell(id), 204);
  const result = await ask(id, 'result');
  t.is(result.status, 200);
  t.is(result.headers.get('content-type'), 'application/octet-stream');
  t.is(await result.text(), '{"result":42}');
  t.is(await shepherd.file(id, 'outputs/pages/1.txt'), 'one');
  t.deepEqual(
    JSON.parse((await shepherd.file(id, 'job_status.json')) ?? ''),
    await (await ask(id, 'status')).json(),
  );
});

test('Null members are there as null, and times have microseconds and no zone', async (t) => {
  await using shepherd = await openShepherd();
  const { platform, ask } = shepherd;
  const body = newJob();
  const id = body.job_id;
  await shepherd.start(body);
  const status = async () => await (await ask(id, 'status')).text();
  const queued = {
    status: 'queued',
    error_details: null,
    ...STATUS,
    processing_started_at: null,
    finished_at: null,
  };
  t.is(await status(), JSON.stringify(queued));
  platform.begin(id);
  const processing = { ...queued, status: 'processing', processing_started_at: '2019-01-01T12:10:00.000000' };
  t.is(await status(), JSON.stringify(processing));
  platform.end(id, { files: {} });
  const done = { ...processing, status: 'done', finished_at: '2019-01-01T12:15:00.005000' };
  t.is(await status(), JSON.stringify(done));
});

test('A job that waits has job_status.json in its bucket', async (t) => {
  await using shepherd = await openShepherd();
  const body = newJob();
  await shepherd.start(body);
  const status = JSON.parse((await shepherd.file(body.job_id, 'job_status.json')) ?? '');
  t.like(status, { status: 'queued', model: STATUS.model, error_details: null, finished_at: null });
  t.regex(status.enqueued_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/);
});

test('What the program said of its error is told', async (t) => {
  await using shepherd = await openShepherd();
  const { platform, ask } = shepherd;
  const body = newJob();
  await shepherd.start(body);
  await platform.work(body.job_id, { failure: FAILED });
  t.like(await (await ask(body.job_id, 'status')).json(), {
    status: 'failed',
    error_details: {
      message: 'ValueError: bad',
      exception_type: "<class 'ValueError'>",
      exception_traceback: '[1]',
    },
    finished_at: '2019-01-01T12:15:00.005000',
  });
  const result = await ask(body.job_id, 'result');
  t.is(result.status, 500);
  t.deepEqual(await result.json(), { message: 'ValueError: bad' });
  t.is((await ask(body.job_id, 'result/other')).status, 500);
  t.is((await ask(body.job_id, 'wait_ready')).status, 200);
});

test('What the platform found is told where the program could say nothing, and so is a cancellation', async (t) => {
  await using shepherd = await openShepherd();
  const { platform, ask } = shepherd;
  const [died, cancelled] = [newJob(), newJob()];
  for (const body of [died, cancelled]) await shepherd.start(body);
  const failure: Failure = { reason: 'out_of_memory', message: 'It used too much.', log_tail: ['a', 'b'] };

  await platform.work(died.job_id, { failure });
  await platform.work(cancelled.job_id, 'cancelled');
  t.like(await (await ask(died.job_id, 'status')).json(), {
    error_details: {
      message: 'It used too much.',
      exception_type: 'out_of_memory',
      exception_traceback: 'a\nb',
    },
  });
  t.like(await (await ask(cancelled.job_id, 'status')).json(), {
    status: 'failed',
    error_details: { message: 'The job was cancelled', exception_type: null, exception_traceback: null },
  });
});

test('A result that is not ready is 202, and a file that is not there 404', async (t) => {
  await using shepherd = await openShepherd();
  const { platform, ask } = shepherd;
  const body = newJob();
  await shepherd.start(body);
  for (const what of ['result', 'result/other']) {
    const answer = await ask(body.job_id, what);
    t.is(answer.status, 202);
    t.deepEqual(await answer.json(), { ready: false });
  }
  await platform.work(body.job_id, { files: { 'table.csv': 'a,b' } });
  const none = await ask(body.job_id, 'result');
  t.is(none.status, 404);
  t.deepEqual(await none.json(), { message: 'Requested file does not exist' });
  const table = await ask(body.job_id, 'result/table.csv');
  t.is(table.status, 200);
  t.is(table.headers.get('content-type'), 'text/csv');
  t.is(table.headers.get('content-length'), '3');
  t.is((await ask(body.job_id, 'result/..%2fjob_status.json')).status, 400);
});

test('Inputs are fetched as they were given', async (t) => {
  await using shepherd = await openShepherd();
  const { ask, store } = shepherd;
  const body = newJob({ payload: 'täglich' });
  await shepherd.start(body);
  await store.put(body.job_id, 'inputs/page.png', Buffer.from('png'));
  const input = await ask(body.job_id, 'input');
  t.is(await input.text(), 'täglich');
  t.is(input.headers.get('content-type'), 'application/octet-stream');
  const page = await ask(body.job_id, 'input/page.png');
  t.deepEqual([page.status, page.headers.get('content-type')], [200, 'image/png']);
  const none = await ask(body.job_id, 'input/other');
  t.is(none.status, 404);
  t.deepEqual(await none.json(), { message: 'Requested file does not exist' });
});

test('Of a job that is not there everything is 400', async (t) => {
  await using shepherd = await openShepherd();
  for (const id of ['0a3f0d56-4c2f-4f7b-8a54-000000000000', 'No-Bucket', 'a']) {
    for (const what of ['status', 'wait_ready', 'result', 'result/a', 'input', 'input/a']) {
      const answer = await shepherd.ask(id, what);
      t.is(answer.status, 400, what);
      t.deepEqual(await answer.json(), { message: `Data for job \`${id}\` does not exist` });
    }
  }
});

test('wait_ready answers when the job has ended, and at once where it has', async (t) => {
  await using shepherd = await openShepherd();
  const { platform, ask } = shepherd;
  const body = newJob();
  await shepherd.start(body);
  const waiting = ask(body.job_id, 'wait_ready');
  await platform.work(body.job_id, { files: { output: '1' } });
  for (const answer of [await waiting, await ask(body.job_id, 'wait_ready')]) {
    t.is(answer.status, 200);
    t.like(await answer.json(), { status: 'done', finished_at: '2019-01-01T12:15:00.005000' });
  }
});

test('wait_ready answers 504 with how the job stands where that takes too long', async (t) => {
  await using shepherd = await openShepherd({ waitMs: 1 });
  const body = newJob();
  await shepherd.start(body);
  const answer = await shepherd.ask(body.job_id, 'wait_ready');
  t.is(answer.status, 504);
  t.like(await answer.json(), { status: 'queued', model: STATUS.model, finished_at: null });
});

test('The sheep are shown under both names, with what they run', async (t) => {
  await using shepherd = await openShepherd();
  const idle = { running: false, model: { name: null, version: null }, request: null };
  const sheep = async () => await (await fetch(`${shepherd.url}/status`)).json();
  const all = { cpu_sheep_1: idle, gpu_sheep_1: idle, bare_sheep_1: idle };
  t.deepEqual(await sheep(), { sheep: all, containers: all });
  shepherd.platform.runners.push({
    ...{ key: 'a', state: 'idle', protocol: 'zeromq', owner: 'shepherd', gpus: 0 },
    ...{ image: 'registry.example:5000/ocr:1.0.42@sha256:0', age_seconds: 1, calls: 1, waiting: 0 },
    ...{ worker: 'w', worker_name: 'w' },
  });
  const busy = { running: true, model: { name: 'ocr', version: '1.0.42' }, request: null };
  t.deepEqual(await sheep(), {
    sheep: { ...all, cpu_sheep_1: busy },
    containers: { ...all, cpu_sheep_1: busy },
  });
  shepherd.platform.away.compute = true;
  t.deepEqual(await sheep(), { sheep: all, containers: all });
});

test('A request that does not fit is 400, in the words of the original', async (t) => {
  await using shepherd = await openShepherd();
  const { model } = newJob();
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [newJob({ colour: 'red' }), /^Invalid input: \{"colour":"Rogue field"\}$/],
    [
      newJob({ model: { name: 'ocr', version: '1', of: 'x' } }),
      /^Invalid input: \{"model":\{"of":"Rogue field"\}\}$/,
    ],
    [{ model }, /^Invalid input: \{"job_id":\["This field is required."\]\}$/],
    [{ job_id: 'abc' }, /^Invalid input: \{"model":\["This field is required."\]\}$/],
    [newJob({ payload: { input: 42 } }), /^Invalid input: \{"payload":/],
    [newJob({ payload: ['a'] }), /^Invalid input: \{"payload":/],
    [newJob({ model: 'ocr:1' }), /^Invalid input: \{"model":/],
    [newJob({ model: {} }), /^Unknown model/],
    [newJob({ model: { name: 'other' } }), /^Unknown model `other`/],
    [newJob({ sheep_id: 'goat' }), /^Unknown sheep id `goat`$/],
    [newJob({ job_id: 'No Bucket' }), /^Invalid job id `No Bucket`: .*names a bucket$/],
    [newJob({ job_id: '../../etc' }), /^Invalid job id/],
    [newJob({ job_id: 'a'.repeat(64) }), /^Invalid job id/],
    [['a'], /^The request body must be a JSON object$/],
    ['a', /^The request body must be a JSON object$/],
    [null, /^The request body must be a JSON object$/],
  ];
  for (const [body, message] of cases) {
    const answer = await shepherd.start(body);
    t.is(answer.status, 400, JSON.stringify(body));
    const told = (await answer.json()) as { message: string };
    t.deepEqual(Object.keys(told), ['message']);
    t.regex(told.message, message);
  }
  for (const body of ['{"job_id":', '']) {
    const answer = await post(`${shepherd.url}/start-job`, body);
    t.is(answer.status, 400);
    t.deepEqual(await answer.json(), { message: 'The request body must be a JSON object' });
  }
  const typed = await post(`${shepherd.url}/start-job`, JSON.stringify(newJob()), {
    'content-type': 'text/plain',
  });
  t.is(typed.status, 400);
});

test('Numbers are taken for texts, and null for nothing', async (t) => {
  await using shepherd = await openShepherd();
  const body = newJob({ job_id: 123_456, model: { name: 'ocr', version: 2 }, payload: 42, sheep_id: null });
  t.is((await shepherd.start(body)).status, 200);
  t.deepEqual(shepherd.platform.inputsOf('123456'), { '/in/input': '42' });
  t.like(await (await shepherd.ask('123456', 'status')).json(), { model: { name: 'ocr', version: '2' } });
});

test('Without a payload the bucket has to have inputs', async (t) => {
  await using shepherd = await openShepherd();
  const { store, platform } = shepherd;
  for (const payload of [undefined, null, '']) {
    const body = newJob({ payload });
    const id = body.job_id;
    for (const prepare of [async () => undefined, async () => await store.create(id)]) {
      await prepare();
      const answer = await shepherd.start(body);
      t.is(answer.status, 400);
      t.deepEqual(await answer.json(), { message: `Data for job \`${id}\` does not exist` });
    }
    await store.put(id, 'inputs/input', Buffer.from('1'));
    await store.put(id, 'inputs/pages/1', Buffer.from('2'));
    await store.put(id, 'other', Buffer.from('3'));
    t.is((await shepherd.start(body)).status, 200);
    t.deepEqual(platform.inputsOf(id), { '/in/input': '1', '/in/pages/1': '2' });
  }
});

test('A bucket filled as the README of the original says has its answer by both names', async (t) => {
  await using shepherd = await openShepherd();
  const { store, platform, ask } = shepherd;
  for (const files of [{ output: '{"a":1}' }, { 'output.json': '{"a":1}' }, { 'answer.txt': '{"a":1}' }]) {
    const body = newJob({ payload: undefined });
    const id = body.job_id;
    await store.create(id);
    await store.put(id, 'inputs/input.json', Buffer.from('{}'));
    t.is((await shepherd.start(body)).status, 200);
    t.deepEqual(platform.inputsOf(id), { '/in/input': '{}', '/in/input.json': '{}' });
    await platform.work(id, { files });
    t.is(await shepherd.file(id, 'outputs.json'), '{"a":1}');
    t.is(await shepherd.file(id, 'outputs/output'), '{"a":1}');
    t.is(await (await ask(id, 'result')).text(), '{"a":1}');
  }
  const both = newJob();
  await shepherd.start(both);
  await platform.work(both.job_id, { files: { output: '1' } });
  t.is(await shepherd.file(both.job_id, 'outputs.json'), undefined);
});

test('Inputs that do not fit into an order go over storage, and are removed from there at the end', async (t) => {
  await using shepherd = await openShepherd();
  const { store, platform } = shepherd;
  const body = newJob({ payload: undefined });
  const id = body.job_id;
  const large = 'x'.repeat(1024 * 1024 - 10);
  await store.create(id);
  for (const name of ['a', 'b']) await store.put(id, `inputs/${name}`, Buffer.from(large + name));
  t.is((await shepherd.start(body)).status, 200);
  t.is(platform.data.size, 1);
  t.deepEqual(platform.inputsOf(id), { '/in/a': `${large}a`, '/in/b': `${large}b` });
  await platform.work(id, { files: { output: '1' } });
  t.deepEqual([platform.data.size, platform.outputs.size], [0, 0]);
});

test('Of many inputs, folders go as archives, and too many beside one another are refused', async (t) => {
  await using shepherd = await openShepherd();
  const { store, platform } = shepherd;
  const fill = async (nameOf: (n: number) => string) => {
    const body = newJob({ payload: undefined });
    await store.create(body.job_id);
    for (let n = 0; n < 260; n += 1) await store.put(body.job_id, `inputs/${nameOf(n)}`, Buffer.from(`${n}`));
    return body;
  };
  const [inFolder, beside] = [await fill((n) => (n === 0 ? 'input' : `pages/${n}/page`)), await fill(String)];
  t.is((await shepherd.start(inFolder)).status, 200);
  const inputs = platform.jobOf(inFolder.job_id)?.inputs ?? [];
  t.deepEqual(
    inputs.map(({ path, unpack }) => [path, unpack]),
    [
      ['/in/input', undefined],
      ['/in/pages', true],
    ],
  );
  const { '/in/pages': archive = '' } = platform.inputsOf(inFolder.job_id);
  t.true(archive.includes('259/page'));
  const refused = await shepherd.start(beside);
  t.is(refused.status, 400);
  t.regex(((await refused.json()) as { message: string }).message, /put them into folders/);
  await platform.work(inFolder.job_id, { files: { output: '1' } });
  t.is(platform.data.size, 0);
});

test('A long payload goes into the bucket as it comes, and over storage to its runner', async (t) => {
  await using shepherd = await openShepherd();
  const payload = `${'täglich "'.repeat(400_000)}end`;
  const body = newJob({ payload });
  t.is((await shepherd.start(body)).status, 200);
  t.true((await shepherd.file(body.job_id, 'inputs/input')) === payload);
  t.true(shepherd.platform.inputsOf(body.job_id)['/in/input'] === payload);
  t.is((await shepherd.start(body)).status, 409);
});

test('A body that is too large beside its payload is refused, with another way', async (t) => {
  await using shepherd = await openShepherd();
  const answer = await shepherd.start(newJob({ sheep_id: 'x'.repeat(2 * 1024 ** 2) }));
  t.is(answer.status, 413);
  t.regex(((await answer.json()) as { message: string }).message, /inputs\/input/);
});

test('A sheep that is named is needed; without one any worker will do, with the GPUs of the one whose turn it is', async (t) => {
  await using shepherd = await openShepherd();
  const order = async (members: object) => {
    const body = newJob(members);
    t.is((await shepherd.start(body)).status, 200);
    const { gpus, needs } = shepherd.platform.jobOf(body.job_id) ?? {};
    return { gpus, needs };
  };
  const docker = (id: string) => ({ labels: { [`sheep.${id}`]: 'docker' } });
  const bare = { labels: { 'sheep.bare_sheep_1': 'bare' } };
  t.deepEqual(await order({ sheep_id: 'cpu_sheep_1' }), { gpus: undefined, needs: docker('cpu_sheep_1') });
  t.deepEqual(await order({ sheep_id: 'gpu_sheep_1' }), { gpus: 1, needs: docker('gpu_sheep_1') });
  const turns = [{}, { gpus: 1 }, { needs: bare }, {}];
  for (const turn of turns) t.deepEqual(await order({}), { gpus: undefined, needs: undefined, ...turn });
});

test('Pages of any origin may call, with credentials', async (t) => {
  await using shepherd = await openShepherd();
  const origin = 'https://page.example';
  for (const path of ['/status', '/spec.json', '/jobs/abc/status', '/nowhere']) {
    const { headers } = await fetch(`${shepherd.url}${path}`, { headers: { origin } });
    t.is(headers.get('access-control-allow-origin'), origin, path);
    t.is(headers.get('access-control-allow-credentials'), 'true', path);
  }
  const asked = await fetch(`${shepherd.url}/start-job`, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type',
    },
  });
  t.is(asked.headers.get('access-control-allow-origin'), origin);
  t.regex(asked.headers.get('access-control-allow-methods') ?? '', /POST/);
  const started = await post(`${shepherd.url}/start-job`, JSON.stringify(newJob()), { origin });
  t.is(started.status, 200);
});

const document = z.object({
  openapi: z.string(),
  paths: z.record(
    z.string(),
    z.record(z.string(), z.looseObject({ responses: z.record(z.string(), z.unknown()) })),
  ),
});

test('The document of the API is OpenAPI 3.0 at /spec.json, with pages to read it at /ui and /apidocs', async (t) => {
  await using shepherd = await openShepherd();
  const spec = document.parse(await (await fetch(`${shepherd.url}/spec.json`)).json());
  const operation = (path: string, method: string) => new Map(Object.entries(spec.paths)).get(path)?.[method];
  t.is(spec.openapi, '3.0.2');
  t.deepEqual(
    Object.keys(spec.paths).filter((path) => !path.startsWith('/v1')),
    [
      ...['/health', '/ready', '/start-job', '/jobs/{job_id}/status', '/jobs/{job_id}/wait_ready'],
      ...['/jobs/{job_id}/result', '/jobs/{job_id}/result/{file}'],
      ...['/jobs/{job_id}/input', '/jobs/{job_id}/input/{file}', '/status'],
    ],
  );
  t.deepEqual(Object.keys(operation('/jobs/{job_id}/result', 'get')?.responses ?? {}), [
    '200',
    '202',
    '400',
    '403',
    '404',
    '429',
    '500',
    '503',
  ]);
  t.true(JSON.stringify(operation('/start-job', 'post')).includes('"nullable":true'));
  t.false(JSON.stringify(spec).includes('"type":["'));
  for (const path of ['/ui', '/apidocs']) {
    const page = await fetch(`${shepherd.url}${path}`);
    t.is(page.status, 200);
    t.regex(await page.text(), /swagger-ui/);
  }
});

test('An error of any kind has a message, and nothing else', async (t) => {
  await using shepherd = await openShepherd();
  for (const [path, status] of [
    ['/nowhere', 404],
    ['/start-job', 404],
    ['/v1/ended/abc?token=x', 405],
  ] as const) {
    const answer = await fetch(`${shepherd.url}${path}`);
    t.is(answer.status, status, path);
    t.regex(answer.headers.get('content-type') ?? '', /^application\/json/);
    t.deepEqual(Object.keys((await answer.json()) as object), ['message']);
  }
});
