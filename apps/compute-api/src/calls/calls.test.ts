import { randomUUID } from 'node:crypto';
import type { Call, CallAnswer, CallRequest, PinRequest, RunnerReport } from '@morpheo/common';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { sql } from 'kysely';
import { ComputeDatabase } from '../db/database.ts';
import { CallWorker, echo } from '../testing/call-worker.ts';
import { ALGO_OF_MODELS } from '../testing/fake-systems.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import { openTestCompute, type TestCompute } from '../testing/open-test-compute.ts';
import { RunnerBoard } from './runners.ts';
import { CALL_DEFAULTS } from './settings.ts';

const IMAGE = `registry.example/tool:1@sha256:${'0123456789abcdef'.repeat(4)}`;
const HELLO = Buffer.from('hello').toString('base64');
const ANN = { name: 'ann', roles: ['orchestrator'], isPerson: true } as const;
const BOB = { name: 'bob', roles: ['orchestrator'], isPerson: true } as const;

/** A call of an image with five bytes. */
function aCall(members: Partial<CallRequest> = {}): CallRequest {
  return { image: IMAGE, inputs: [{ path: '/in/text', inline: HELLO }], ...members };
}

async function call(
  { api }: Pick<TestCompute, 'api'>,
  body: CallRequest = aCall(),
  about: Call = {},
): Promise<CallAnswer> {
  const answer = await api.postCall({ headers: {}, body }, about);
  if ('uuid' in answer) throw new Error('It became an order');
  return answer;
}

/** How many rows each table has. */
async function countRows({ database }: TestCompute): Promise<Record<string, number>> {
  const names =
    database.engine === 'sqlite'
      ? sql<{ name: string }>`select name from sqlite_master where type = 'table'`
      : sql<{ name: string }>`select tablename as name from pg_tables where schemaname = current_schema()`;
  const { rows } = await names.execute(database.read);
  const counts: Record<string, number> = {};
  for (const { name } of rows) {
    const found = await sql<{ n: number }>`select count(*) as n from ${sql.table(name)}`.execute(
      database.read,
    );
    counts[name] = Number(found.rows[0]?.n);
  }
  return counts;
}

testOnEngines('A call is answered by a worker, and no table has a row of it', async (t, open) => {
  await using compute = await open();
  await using worker = await CallWorker.start(compute.api, { runners: [] });
  await eventually(t, async (t) => t.is((await countRows(compute)).worker_runners, 1));
  const before = await countRows(compute);
  const answers = await Promise.all(Array.from({ length: 20 }, async () => await call(compute)));
  t.is(answers.length, 20);
  for (const { outputs } of answers) t.deepEqual(outputs, [{ name: 'answer', data: HELLO }]);
  t.deepEqual(await countRows(compute), before);
  t.is(new Set(worker.given.map(({ key }) => key)).size, 1);
  t.like(worker.given[0], { owner: 'anonymous', gpus: 0, spec: { image: IMAGE, warm: 'runner' } });
});

test('Callers that are alike in all but what is below /in, and of one owner, share a program; others do not', async (t) => {
  await using compute = await openTestCompute();
  await using worker = await CallWorker.start(compute.api);
  const fixed = (inline: string) => aCall({ inputs: [{ path: '/model', inline }] });
  await call(compute, aCall(), { principal: ANN });
  await call(compute, aCall({ inputs: [] }), { principal: ANN });
  await call(compute, aCall(), { principal: BOB });
  await call(compute, fixed('AAAA'), { principal: ANN });
  await call(compute, fixed('AAAB'), { principal: ANN });
  await call(compute, aCall({ env: { A: '1' } }), { principal: ANN });
  const keys = worker.given.map(({ key }) => key);
  t.is(keys[0], keys[1]);
  t.is(new Set(keys).size, 5);
});

test('A call in which the program fails, or its runner or its worker dies, or a clock passes, says so', async (t) => {
  await using compute = await openTestCompute();
  const ends = [
    { outcome: 'failed', message: 'no such word', type: 'KeyError', traceback: 'line 1', log: 'tail' },
    { outcome: 'ended', message: 'The program exited with 1.' },
    { outcome: 'timed_out', phase: 'running' },
    { outcome: 'timed_out', phase: 'starting' },
    { outcome: 'refused', code: 'invalid_order', message: 'It has no such label.' },
    { outcome: 'refused', code: 'stale_attempt', message: 'It is released.' },
    { outcome: 'refused', code: 'disk_full', message: 'There is no room.' },
    { outcome: 'refused', code: 'unauthenticated', message: 'Who are you?' },
  ] as const;
  let next = 0;
  await using _ = await CallWorker.start(compute.api, {
    answer: ({ call: id }) => ({ call: id, ...(ends[next++] ?? ends[0]) }),
  });
  const refused = async () => await call(compute);
  const error = await t.throwsAsync(refused, { code: 'call_failed', message: 'no such word' });
  t.like(error, { status: 422, details: { error_type: 'KeyError', traceback: 'line 1', log: 'tail' } });
  t.like(await t.throwsAsync(refused, { code: 'unavailable', message: /exited with 1/ }), { status: 503 });
  t.like(await t.throwsAsync(refused, { code: 'deadline_passed' }), { status: 504 });
  await t.throwsAsync(refused, { code: 'deadline_passed', message: /had not started/ });
  await t.throwsAsync(refused, { code: 'invalid_order', message: /no such label/ });
  await t.throwsAsync(refused, { code: 'unavailable', message: /released/ });
  await t.throwsAsync(refused, { code: 'unavailable', message: /no room/ });
  await t.throwsAsync(refused, { code: 'internal' });
});

test('A call that nobody could ever run is refused at once, with what is missing', async (t) => {
  await using compute = await openTestCompute();
  await t.throwsAsync(call(compute), { code: 'unavailable', message: /start one/ });
  await using _ = await CallWorker.start(compute.api, { labels: { zone: 'a' } });
  const zone = aCall({ needs: { labels: { zone: 'b' } } });
  await t.throwsAsync(call(compute, zone), { code: 'unavailable', message: /missing: the label zone=b/ });
  await t.throwsAsync(call(compute, aCall({ gpus: 1 })), { code: 'unavailable', message: /1 GPUs/ });
  await t.throwsAsync(call(compute, aCall({ warm: 'zeromq' })), {
    code: 'unavailable',
    message: /Shepherd/,
  });
  t.is((await call(compute, aCall({ needs: { labels: { zone: 'a' } } }))).outputs.length, 1);
});

test('A call that does not need what a worker is dedicated to never goes there', async (t) => {
  await using compute = await openTestCompute();
  const labels = { trainer: '1' };
  await using dedicated = await CallWorker.start(compute.api, { labels, dedicated: ['trainer'] });
  await t.throwsAsync(call(compute), {
    code: 'unavailable',
    message:
      /^All workers that are there are dedicated to calls that need the label trainer=1: start another/,
  });
  t.is((await call(compute, aCall({ needs: { labels } }))).outputs.length, 1);
  await using plain = await CallWorker.start(compute.api);
  t.is((await call(compute)).outputs.length, 1);
  t.deepEqual([dedicated.given.length, plain.given.length], [1, 1]);
});

test('A call that has waited as long as it may is given up', async (t) => {
  await using compute = await openTestCompute();
  await using worker = await CallWorker.start(compute.api, { room: 0 });
  const body = aCall({ wait_seconds: 1 });
  await t.throwsAsync(call(compute, body), { code: 'deadline_passed', message: /No runner was free/ });
  t.deepEqual(worker.given, []);
});

test('As many calls wait as may, of a program and of an owner; more are refused, and others are not', async (t) => {
  await using compute = await openTestCompute({ calls: { ...CALL_DEFAULTS, perProgram: 2, perOwner: 3 } });
  await using worker = await CallWorker.start(compute.api, { room: 0 });
  const stop = new AbortController();
  const wait = (env: Record<string, string>, principal: Call['principal'] = ANN) =>
    call(compute, aCall({ env }), { principal, signal: stop.signal });
  const waiting = [wait({ A: '1' }), wait({ A: '1' }), wait({ A: '2' }), wait({ A: '1' }, BOB)];
  for (const one of waiting) one.catch(() => undefined);
  await t.throwsAsync(wait({ A: '1' }), { code: 'rate_limited', message: /2 calls of this program/ });
  await t.throwsAsync(wait({ A: '3' }), { code: 'rate_limited', message: /3 calls of ann/ });
  stop.abort();
  for (const one of waiting) await t.throwsAsync(one, { code: 'cancelled' });
  t.deepEqual(worker.given, []);
});

test('A caller that goes away ends its call, also at the worker', async (t) => {
  await using compute = await openTestCompute();
  await using worker = await CallWorker.start(compute.api, { answer: () => undefined });
  const caller = new AbortController();
  const answer = call(compute, aCall(), { signal: caller.signal });
  await eventually(t, (t) => t.is(worker.given.length, 1));
  caller.abort();
  await t.throwsAsync(answer, { code: 'cancelled' });
  await eventually(t, (t) => t.deepEqual(worker.cancelled, [worker.given[0]?.call]));
});

test('The calls of a worker that is killed, is silent, or begins anew fail in bounded time', async (t) => {
  const quick = { ...CALL_DEFAULTS, silentMs: 300, goneMs: 100, everyMs: 20 };
  await using compute = await openTestCompute({ calls: quick });
  await using killed = await CallWorker.start(compute.api, { answer: () => undefined });
  const answer = call(compute);
  answer.catch(() => undefined);
  await eventually(t, (t) => t.is(killed.given.length, 1));
  await killed.kill();
  await t.throwsAsync(answer, { code: 'unavailable', message: /not heard of any more/ });
  await using first = await CallWorker.start(compute.api, { answer: () => undefined });
  const other = call(compute);
  other.catch(() => undefined);
  await eventually(t, (t) => t.is(first.given.length, 1));
  await using again = await CallWorker.start(compute.api, { id: first.id });
  await t.throwsAsync(other, { code: 'unavailable', message: /started again/ });
  await eventually(t, (t) => t.like(first.error, { code: 'stale_attempt' }));
  t.is((await call(compute)).outputs.length, 1);
  t.is(again.given.length, 1);
});

test('A call whose answer was lost on its way to the worker is told again, and runs once', async (t) => {
  await using compute = await openTestCompute();
  await using worker = await CallWorker.start(compute.api, { room: 0 });
  await worker.kill();
  const lost = worker.exchange({ room: 1 });
  const answer = call(compute);
  const [given] = (await lost).calls;
  if (given === undefined) return t.fail();
  await eventually(t, async (t) => {
    const { calls } = await worker.exchange({ room: 1, wait_ms: 0 });
    t.deepEqual(
      calls.map((one) => one.call),
      [given.call],
    );
  });
  t.deepEqual((await worker.exchange({ holds: [given.call], wait_ms: 0 })).calls, []);
  const done = [echo(given)];
  await worker.exchange({ done, wait_ms: 0 });
  t.is((await answer).call, given.call);
  const late = await worker.exchange({ done, holds: [given.call], wait_ms: 0 });
  t.deepEqual(late.cancelled, [given.call], 'nobody knows it any more');
});

test('A call goes to a worker that has its program warm, before one that has more room', async (t) => {
  await using compute = await openTestCompute({ calls: { ...CALL_DEFAULTS, patienceMs: 60_000 } });
  await using small = await CallWorker.start(compute.api, { room: 1 });
  await call(compute);
  const [{ key } = { key: '' }] = small.given;
  await using large = await CallWorker.start(compute.api, { room: 50 });
  let n = 0;
  await eventually(t, async (t) => {
    await call(compute, aCall({ env: { ANOTHER: `${n++}` } }));
    t.true(large.given.length > 0, 'what nobody has warm goes where there is the most room');
  });
  for (let again = 0; again < 10; again++) await call(compute);
  t.is(small.given.filter((given) => given.key === key).length, 11);
});

test('A call goes to a worker that has the memory and the GPUs for it now, and waits while none has', async (t) => {
  await using compute = await openTestCompute();
  const [memory_bytes, most_memory_bytes] = [2 ** 30, 2 ** 33];
  const full = { memory_bytes, most_memory_bytes, gpus: 0 };
  await using small = await CallWorker.start(compute.api, { room: 50, limits: full, gpus: 1 });
  await using large = await CallWorker.start(compute.api, {
    limits: { ...full, memory_bytes: most_memory_bytes },
  });
  for (let n = 0; n < 5; n++)
    await call(compute, aCall({ limits: { memory_bytes: 2 ** 32 }, env: { N: `${n}` } }));
  t.is(large.given.length, 5);
  const ofGpu = call(compute, aCall({ gpus: 1 }));
  await call(compute, aCall({ limits: { memory_bytes: 2 ** 20 } }));
  t.deepEqual(
    small.given.map(({ gpus }) => gpus),
    [0],
    'its GPU is in use',
  );
  await small.kill();
  const { calls } = await small.exchange({ limits: { ...full, gpus: 1 }, wait_ms: 0 });
  t.deepEqual(
    calls.map(({ gpus }) => gpus),
    [1],
  );
  await small.exchange({ done: calls.map(echo), wait_ms: 0 });
  t.is((await ofGpu).outputs.length, 1);
});

test('A call that is too large for every worker goes to one, which says so', async (t) => {
  await using compute = await openTestCompute();
  const limits = { memory_bytes: 2 ** 20, most_memory_bytes: 2 ** 30, gpus: 0 };
  await using worker = await CallWorker.start(compute.api, { limits });
  await call(compute, aCall({ limits: { memory_bytes: 2 ** 31 } }));
  t.is(worker.given.length, 1);
});

test('An older exchange of a worker is answered as soon as a newer one comes', async (t) => {
  await using compute = await openTestCompute();
  await using worker = await CallWorker.start(compute.api, { room: 0 });
  await worker.kill();
  const older = worker.exchange();
  const newer = worker.exchange();
  t.deepEqual(await older, { calls: [], cancelled: [], retry: [] });
  t.deepEqual((await worker.exchange({ wait_ms: 0 })).calls, []);
  t.deepEqual((await newer).calls, []);
});

test('Storage decides once in a while whether an owner may use what calls name, and holds it', async (t) => {
  await using compute = await openTestCompute();
  await using worker = await CallWorker.start(compute.api);
  const model = randomUUID();
  compute.stored.add(model);
  const ofModel: CallRequest = { model, inputs: [{ path: '/in/data', inline: HELLO }] };
  for (let n = 0; n < 3; n++) await call(compute, ofModel, { principal: ANN });
  t.is(compute.checks.asked.length, 1);
  t.like(compute.checks.asked[0]?.[0], {
    ...{ owner: 'ann', kind: 'predict', expires_seconds: 900 },
    uses: [{ type: 'model', uuid: model, as: 'model' }],
  });
  const [given] = worker.given;
  t.like(given, { model, spec: { algo: ALGO_OF_MODELS, command: ['-V', '/data', '-T', 'serve'] } });
  t.deepEqual(given?.spec.inputs?.[0], {
    ...{ path: '/data/model', resource: { type: 'model', uuid: model }, unpack: true },
  });
  t.like(JSON.parse(given?.ticket ?? ''), { order: given?.pinned?.order, attempt: 1 });
  await call(compute, ofModel, { principal: BOB });
  t.is(compute.checks.asked.length, 2, 'of another owner');
  compute.checks.refuse = ({ order }) => ({
    ...{ outcome: 'refused', order, reason: 'forbidden', message: 'not yours', missing: [] },
  });
  await t.throwsAsync(call(compute, aCall({ image: undefined, algo: model }), { principal: BOB }), {
    ...{ code: 'forbidden', message: 'not yours' },
  });
});

test('Who directs the algorithm of a model by words, variables or files needs a right to it, too', async (t) => {
  await using compute = await openTestCompute();
  await using worker = await CallWorker.start(compute.api);
  const model = randomUUID();
  compute.stored.add(model);
  const isOfAlgo = ({ type }: PinRequest['uses'][number]) => type === 'algo';
  compute.checks.refuse = ({ order, uses }) =>
    uses.some(isOfAlgo)
      ? { outcome: 'refused', order, reason: 'forbidden', message: 'not your algorithm', missing: [] }
      : undefined;
  const picture = { path: '/in/data', inline: HELLO };
  const ask = (members: Partial<CallRequest>) =>
    call(compute, { model, inputs: [picture], ...members }, { principal: ANN });
  await ask({});
  const [given] = worker.given;
  for (const members of [
    { command: ['show'] },
    { env: { PYTHONPATH: '/mine' } },
    { inputs: [picture, { path: '/mine/sitecustomize.py', inline: HELLO }] },
  ])
    await t.throwsAsync(ask(members), { code: 'forbidden', message: /not your algorithm/ });
  compute.checks.refuse = () => undefined;
  await ask({ env: { A: '1' } });
  t.is(worker.given.length, 2);
  t.not(worker.given[1]?.pinned?.order, given?.pinned?.order);
});

test('A decision is old after a while: who lost a right loses the use of a warm program, too', async (t) => {
  await using compute = await openTestCompute({ calls: { ...CALL_DEFAULTS, decisionMs: 0 } });
  await using _ = await CallWorker.start(compute.api);
  const body = aCall({ image: undefined, algo: randomUUID() });
  await call(compute, body);
  await call(compute, body);
  t.is(compute.checks.asked.length, 2);
  await eventually(t, (t) =>
    t.true(compute.calls.includes(`discard ${compute.checks.asked[0]?.[0]?.order}`), 'and is released'),
  );
  compute.checks.refuse = ({ order }) => ({
    ...{ outcome: 'refused', order, reason: 'forbidden', message: 'no more', missing: [] },
  });
  await t.throwsAsync(call(compute, body), { code: 'forbidden' });
});

test('What calls have had held is released after a while, though there are no others', async (t) => {
  await using compute = await openTestCompute({ calls: { ...CALL_DEFAULTS, decisionMs: 20 } });
  await using _ = await CallWorker.start(compute.api);
  await call(compute, aCall({ image: undefined, algo: randomUUID() }));
  const released = `discard ${compute.checks.asked[0]?.[0]?.order}`;
  await eventually(t, (t) => t.true(compute.calls.includes(released)));
});

test('What calls have had held is released when compute-api ends', async (t) => {
  const calls: string[] = [];
  {
    await using compute = await openTestCompute();
    await using _ = await CallWorker.start(compute.api);
    await call(compute, aCall({ image: undefined, algo: randomUUID() }));
    calls.push(`discard ${compute.checks.asked[0]?.[0]?.order}`);
    t.false(compute.calls.includes(calls[0] ?? ''));
    calls.push(...compute.calls);
    await compute[Symbol.asyncDispose]();
    t.true(compute.calls.includes(calls[0] ?? ''));
  }
});

testOnEngines('With Prefer: respond-async a call becomes an order, and never without', async (t, open) => {
  await using compute = await open();
  const model = randomUUID();
  compute.stored.add(model);
  const body: CallRequest = { model, inputs: [{ path: '/in/data', inline: HELLO }] };
  const ask = async (prefer: string) =>
    await compute.api.postCall({ headers: { prefer }, body }, { principal: ANN });
  const answer = await ask('wait=5, respond-async');
  if (!('uuid' in answer)) return t.fail();
  const { kind, job, owner, needs } = await compute.api.getOrder({ params: { id: answer.uuid } });
  t.like({ kind, owner, needs }, { kind: 'job', owner: 'ann', needs: { warm: 'runner' } });
  t.like(job, { warm: 'runner', command: ['-V', '/data', '-T', 'serve'] });
  t.deepEqual(
    job?.inputs.map(({ path }) => path),
    ['/data/model', '/in/data'],
  );
  await t.throwsAsync(ask('respond-asynchronously'), { code: 'unavailable' });
});

test('People call by their own rights, unless they are admins', async (t) => {
  await using compute = await openTestCompute();
  await using worker = await CallWorker.start(compute.api);
  await t.throwsAsync(call(compute, aCall({ owner: 'bob' }), { principal: ANN }), { code: 'forbidden' });
  await call(compute, aCall({ owner: 'bob' }), { principal: { name: 'root', roles: ['admin'] } });
  t.is(worker.given[0]?.owner, 'bob');
});

const RUNNER = {
  ...({ key: 'a'.repeat(64), state: 'idle', protocol: 'runner', image: IMAGE } as const),
  ...{ gpus: 0, age_seconds: 5, calls: 7, waiting: 0 },
};

test('What a worker tells one compute-api of its runners, another does not write over with what it heard before', async (t) => {
  await using compute = await openTestCompute();
  await using worker = await CallWorker.start(compute.api, { room: 0 });
  const known = { worker: worker.id, boot: worker.boot };
  const told = [{ ...RUNNER, owner: 'ann' }];
  const database = new ComputeDatabase(compute.database, []);
  const [one, other] = [new RunnerBoard(database, silentLog), new RunnerBoard(database, silentLog)];
  const seen = async (board: RunnerBoard, runners: RunnerReport[] | undefined) => {
    board.note(known, runners);
    await board[Symbol.asyncDispose]();
    return (await board.list(60_000, undefined)).map(({ owner }) => owner);
  };
  t.deepEqual(await seen(one, told), ['ann']);
  t.deepEqual(await seen(other, undefined), ['ann'], 'they are as before');
  t.deepEqual(await seen(other, []), []);
  t.deepEqual(await seen(one, told), ['ann'], 'one that it told of before');
});

testOnEngines('Everybody sees their own runners, admins all, and has them started again', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const runners = [
    { ...RUNNER, owner: 'ann' },
    { ...RUNNER, key: 'b'.repeat(64), state: 'broken' as const, owner: 'bob' },
  ];
  await using worker = await CallWorker.start(api, { runners });
  const seen = async (principal?: Call['principal']) =>
    (await api.listRunners({}, { principal })).items.map(({ owner, calls }) => `${owner} ${calls}`);
  await eventually(t, async (t) => t.deepEqual(await seen(ANN), ['ann 7']));
  t.deepEqual(await seen(BOB), ['bob 7']);
  t.deepEqual(await seen({ name: 'root', roles: ['admin'] }), ['ann 7', 'bob 7']);
  t.like((await api.listRunners({})).items[0], { worker: worker.id, worker_name: 'calls' });
  const params = { key: 'b'.repeat(64) };
  await t.throwsAsync(api.retryRunner({ params }, { principal: ANN }), { code: 'not_found' });
  await api.retryRunner({ params }, { principal: BOB });
  await eventually(t, (t) => t.deepEqual(worker.retries, [params.key]));
});
