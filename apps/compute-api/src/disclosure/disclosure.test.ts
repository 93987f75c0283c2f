import { text } from 'node:stream/consumers';
import {
  type Call,
  DEFAULT_DISCLOSURE,
  type Disclosure,
  type Failure,
  PlatformError,
  type Role,
} from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import test, { type ExecutionContext } from 'ava';
import { pinned } from '../testing/fake-systems.ts';
import { away, openTestCompute, type TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet, aPreduplet } from '../testing/orders.ts';
import { resultOf, type TestWorker } from '../testing/test-worker.ts';
import { findInLog, SearchedLogs } from './canaries.ts';

const as = (name: string, role: Role = 'reader'): Call => ({ principal: { name, roles: [role] } });
const AUTHOR = as('bob', 'orchestrator');
const PROBLEM_OWNER = as('ada');
const ADMIN = as('root', 'admin');

/** What the programs of this test print, write and measure: each tells of a hidden target. */
const SECRET = '7213456';

interface Case extends AsyncDisposable {
  readonly compute: TestCompute;
  readonly worker: TestWorker;
}

/** A compute-api whose storage says that the order's owner may not read its data, and what the problem discloses. */
async function openHidden(disclosure: Partial<Disclosure> = {}, canaries: string[] = []): Promise<Case> {
  await using stack = new AsyncDisposableStack();
  const compute = stack.use(await openTestCompute());
  compute.checks.refuse = (request) => {
    const answer = pinned(request);
    if (answer.outcome !== 'pinned') return answer;
    const budget = { ...DEFAULT_DISCLOSURE, ...disclosure };
    const limits = { hidden: true, readers: ['ada'], disclosure: budget, canaries };
    return { ...answer, policy: { ...answer.policy, ...limits } };
  };
  const worker = await compute.worker();
  const opened = stack.move();
  return { compute, worker, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}

type End = 'train fails' | 'perf fails' | 'results fail' | 'platform fails' | 'done' | 'runs';

const FAILURES = {
  'train fails': { outcome: 'failed', failure: { reason: 'exit_code', step: 'train' } },
  'perf fails': { outcome: 'failed', failure: { reason: 'exit_code', step: 'perf' } },
  'results fail': { outcome: 'failed', failure: { reason: 'invalid_result', step: 'results' } },
  'platform fails': { outcome: 'error', failure: { reason: 'internal', step: 'train' } },
} as const;

/** Places a training order and runs it to an end; every step that sees data prints what it should not. */
async function run(t: ExecutionContext, { compute, worker }: Case, end: End): Promise<string> {
  const body = aLearnuplet({ group: 'sweep' });
  await compute.api.learn({ body }, AUTHOR);
  const claim = await worker.mustClaim();
  const params = { id: claim.order, attempt: claim.attempt };
  let seq = 0;
  for (const step of ['build', 'detarget', 'train', 'perf', 'results'] as const) {
    await compute.api.noteStep({ params, body: { what: 'started', step } });
    const said = step === 'build' ? 'an image' : SECRET;
    const chunks = (['stdout', 'stderr', 'platform'] as const).map((stream) => {
      return { seq: seq++, step, stream, text: `${step} ${stream} ${said}\n` };
    });
    await compute.api.appendLog({ params, body: { chunks } });
    const measured = { seconds: 7.7213456, peak_memory_bytes: 77213456, cpu_seconds: 7.7213456 };
    const record = step === 'build' ? { step, seconds: 1 } : { step, ...measured, exit_code: 0 };
    await compute.api.noteStep({ params, body: { what: 'ended', record } });
  }
  if (end === 'runs') return body.uuid;
  if (end === 'done') {
    const [train = '', tested = ''] = [...body.train_data, ...body.test_data];
    const performance = {
      perf: 0.77213456,
      train_perf: { [train]: 0.77213456 },
      test_perf: { [tested]: 77213456, [SECRET]: 1 },
      note: SECRET,
    };
    await worker.report(claim, { outcome: 'done', result: { ...resultOf(claim), performance } });
    await eventually(t, async (t) =>
      t.is((await compute.api.getOrder({ params: { id: body.uuid } })).status, 'done'),
    );
    return body.uuid;
  }
  const { outcome, failure } = FAILURES[end];
  const told = { message: `It printed ${SECRET}.`, file: SECRET, log_tail: [SECRET], exit_code: 77 };
  await worker.report(claim, { outcome, failure: { ...failure, ...told } });
  return body.uuid;
}

async function logOf({ compute }: Case, id: string, call: Call): Promise<string> {
  const { body } = await compute.api.orderLog({ params: { id }, query: {} }, call);
  return body === undefined ? '' : await text(body);
}

/** The database is in this process too: what it takes so many turns of the event loop for does not come at all. */
const IDLE_TURNS = 1000;

/** What a stream brings to somebody; one of an order that has not ended is left once it brings nothing more. */
async function broughtTo<T>(
  { principal }: Call,
  open: (call: Call) => Promise<AsyncIterable<T> | undefined>,
): Promise<T[]> {
  const left = new AbortController();
  const brought: T[] = [];
  let idle = 0;
  const turn = () => {
    idle += 1;
    if (idle > IDLE_TURNS) left.abort();
    else pending = setImmediate(turn);
  };
  let pending = setImmediate(turn);
  for await (const one of (await open({ principal, signal: left.signal })) ?? []) {
    brought.push(one);
    idle = 0;
  }
  clearImmediate(pending);
  return brought;
}

/** All that somebody can see of an order, at every route that shows anything of one. */
async function allOf({ compute }: Case, id: string, { principal }: Call): Promise<string> {
  const { api } = compute;
  const call = { principal };
  const headers = {};
  const parts: unknown[] = [
    await api.listOrders({ query: {} }, call),
    await api.getOrder({ params: { id } }, call),
    await api.whyOrder({ params: { id } }, call),
    await broughtTo(call, async (call) => await api.orderEvents({ params: { id }, headers }, call)),
    await broughtTo(call, async (call) => await api.orderLogEvents({ params: { id }, headers }, call)),
  ];
  const group = { params: { name: 'sweep' }, query: { owner: 'bob' } };
  if (principal?.name === 'bob' || principal?.name === 'root') {
    parts.push(await api.listOrderGroups({ query: { owner: 'bob' } }, call));
    parts.push(await api.getOrderGroup(group, call));
    parts.push(await broughtTo(call, async (call) => await api.orderGroupEvents(group, call)));
  }
  for (const follow of [false, true]) {
    const read = async (call: Call) => (await api.orderLog({ params: { id }, query: { follow } }, call)).body;
    parts.push(Buffer.concat(await broughtTo(call, read)).toString());
  }
  return JSON.stringify(parts);
}

for (const end of ['train fails', 'perf fails', 'results fail', 'platform fails', 'done', 'runs'] as const) {
  test(`Where ${end === 'runs' ? 'it runs' : end}, nothing that an order shows tells its author of hidden data`, async (t) => {
    await using hidden = await openHidden();
    const id = await run(t, hidden, end);
    for (const who of [AUTHOR, as('eve'), as('anonymous'), as('worker', 'worker')])
      t.notRegex(await allOf(hidden, id, who), /7213456/, who.principal?.name);
    for (const who of [PROBLEM_OWNER, ADMIN])
      t.regex(await allOf(hidden, id, who), /7213456/, who.principal?.name);
  });
}

test('Of a failed training its author sees the reason, exit code, memory and rounded seconds; of detarget and perf nothing', async (t) => {
  await using hidden = await openHidden();
  const { compute } = hidden;
  const id = await run(t, hidden, 'train fails');
  const view = await compute.api.getOrder({ params: { id } }, AUTHOR);
  t.deepEqual(view.failure, {
    reason: 'exit_code',
    step: 'train',
    message:
      'The step train ended with exit code 77 (exit_code). What it did and printed is not shown to you: it saw data that you may not read.',
    exit_code: 77,
  });
  t.deepEqual(view.attempts[0]?.steps, [
    { step: 'build', seconds: 1 },
    { step: 'train', seconds: 10, exit_code: 0, peak_memory_bytes: 5 * 16 * 1024 * 1024 },
    { step: 'results', seconds: 10, exit_code: 0, peak_memory_bytes: 5 * 16 * 1024 * 1024 },
  ]);
  t.deepEqual(view.shown, { detarget: 'nothing', train: 'summary', perf: 'nothing' });
  t.is(Date.parse(view.ended_at ?? '') % 10_000, 0);
  t.is(
    await logOf(hidden, id, AUTHOR),
    'What these steps print is not shown to you, since they see data that you may not read: detarget, train, perf.\n' +
      'build stdout an image\nbuild stderr an image\nbuild platform an image\n',
  );
  t.is((await compute.api.getOrder({ params: { id } }, PROBLEM_OWNER)).shown, undefined);
});

test('The peak of a failure is told in steps of 16 MiB, and what was wrong within a model is not', async (t) => {
  await using hidden = await openHidden();
  const { api } = hidden.compute;
  const failed = async (failure: Failure) => {
    const body = aLearnuplet();
    await api.learn({ body }, AUTHOR);
    await hidden.worker.report(await hidden.worker.mustClaim(), { outcome: 'failed', failure });
    return async (call: Call) => (await api.getOrder({ params: { id: body.uuid } }, call)).failure;
  };
  for (const [peak, told] of [
    ['77.2 MB', '80 MiB'],
    ['999 B', '16 MiB'],
    ['1.3 GB', '1248 MiB'],
    ['some', undefined],
  ] as const) {
    const failure = await failed({
      reason: 'out_of_memory',
      step: 'train',
      message: 'x',
      exit_code: 137,
      peak,
    });
    t.is((await failure(AUTHOR))?.peak, told);
    t.is((await failure(PROBLEM_OWNER))?.peak, peak);
  }
  const message = `The entry ${SECRET} stands twice.`;
  const unpacked = await failed({ reason: 'invalid_result', step: 'inputs', message });
  t.notRegex(JSON.stringify(await unpacked(AUTHOR)), /7213456/);
  t.is((await unpacked(PROBLEM_OWNER))?.message, message);
});

test('A problem may disclose the last bytes of a step, which are shown once the attempt is over, or all of it', async (t) => {
  await using hidden = await openHidden({ train: { last_bytes: 26 }, perf: 'all' });
  const running = await run(t, hidden, 'runs');
  const perf = `perf stdout ${SECRET}\nperf stderr ${SECRET}\nperf platform ${SECRET}\n`;
  t.true((await logOf(hidden, running, AUTHOR)).endsWith(perf));
  await hidden.compute.api.cancelOrder({ params: { id: running } });
  const end = `${SECRET}\ntrain platform ${SECRET}\n`.slice(-26);
  t.is(Buffer.byteLength(end), 26);
  const { body } = await hidden.compute.api.orderLog(
    { params: { id: running }, query: { follow: true } },
    AUTHOR,
  );
  const log = body === undefined ? '' : await text(body);
  t.true(log.endsWith(perf + end), log);
  t.is(await logOf(hidden, running, AUTHOR), log);
  const failed = await run(t, hidden, 'train fails');
  const { failure } = await hidden.compute.api.getOrder({ params: { id: failed } }, AUTHOR);
  t.regex(failure?.message ?? '', /what the problem discloses of it is in the log\.$/);
});

test('A limited log goes on after an event, by a count that does not tell what was left out', async (t) => {
  await using hidden = await openHidden({ perf: 'all' });
  const id = await run(t, hidden, 'train fails');
  const read = async (after?: string) => {
    const headers = after === undefined ? {} : { 'last-event-id': after };
    return await Array.fromAsync(
      await hidden.compute.api.orderLogEvents({ params: { id }, headers }, AUTHOR),
    );
  };
  const all = await read();
  t.deepEqual(
    all.map((event) => event.id),
    ['1', '2', '3', '4', '5', '6', '7'],
  );
  t.deepEqual(await read('4'), all.slice(4));
});

test('While an attempt runs nobody sees when its steps start and end who may not read their data', async (t) => {
  await using hidden = await openHidden();
  const id = await run(t, hidden, 'runs');
  const { api } = hidden.compute;
  const read = async (call: Call, after?: string) => {
    const headers = after === undefined ? {} : { 'last-event-id': after };
    return await broughtTo(call, async (call) => await api.orderEvents({ params: { id }, headers }, call));
  };
  const steps = async (call: Call) =>
    (await api.getOrder({ params: { id } }, call)).attempts[0]?.steps.map(({ step }) => step);
  // When the orchestrator hears of the claim is not this test's.
  const named = (events: Awaited<ReturnType<typeof read>>) =>
    events.flatMap(({ event, data: { details } }) =>
      event === 'told' ? [] : [`${event} ${details.step ?? ''}`],
    );
  const live = ['accepted ', 'checked ', 'claimed ', 'step_started build', 'step_ended build'];
  const before = await read(AUTHOR);
  t.deepEqual(named(before), live);
  t.deepEqual(await steps(AUTHOR), ['build']);
  t.is(named(await read(PROBLEM_OWNER)).length, live.length + 8);
  t.deepEqual(await steps(PROBLEM_OWNER), ['build', 'detarget', 'train', 'perf', 'results']);

  await api.cancelOrder({ params: { id } });
  const after = ['train', 'results'].flatMap((step) => [`step_started ${step}`, `step_ended ${step}`]);
  const rest = await read(AUTHOR, before.at(-1)?.id);
  t.deepEqual(named(rest), [...after, 'cancelled ']);
  const all = await read(AUTHOR);
  t.deepEqual(all.slice(0, before.length + rest.length), [...before, ...rest]);
  t.deepEqual(
    all.map((event) => event.id),
    all.map((_, index) => String(index + 1)),
  );
  t.deepEqual(await steps(AUTHOR), ['build', 'train', 'results']);
});

test('A step that a problem discloses wholly is told as it happens, until one comes that it does not', async (t) => {
  await using hidden = await openHidden({ detarget: 'all', train: 'all' });
  const id = await run(t, hidden, 'runs');
  const events = await broughtTo(
    AUTHOR,
    async (call) => await hidden.compute.api.orderEvents({ params: { id }, headers: {} }, call),
  );
  t.deepEqual(
    events.flatMap(({ data: { details } }) => details.step ?? []),
    ['build', 'build', 'detarget', 'detarget', 'train', 'train'],
  );
  const { attempts } = await hidden.compute.api.getOrder({ params: { id } }, AUTHOR);
  t.deepEqual(
    attempts[0]?.steps.map(({ step }) => step),
    ['build', 'detarget', 'train'],
  );
});

test('Who may read all data of an order sees all of it, others what its problem discloses', async (t) => {
  await using open = await openHidden();
  open.compute.checks.refuse = (request) => {
    const answer = pinned(request);
    return answer.outcome !== 'pinned'
      ? answer
      : { ...answer, policy: { ...answer.policy, readers: [request.owner], disclosure: DEFAULT_DISCLOSURE } };
  };
  const id = await run(t, open, 'done');
  t.regex(await allOf(open, id, AUTHOR), /train stdout 7213456/);
  const mine = await open.compute.api.getOrder({ params: { id } }, AUTHOR);
  t.is(mine.result?.performance?.perf, 0.77213456);
  t.notRegex(await allOf(open, id, as('eve')), /7213456/);
  t.is((await open.compute.api.getOrder({ params: { id } }, as('eve'))).result?.performance?.perf, 0.7721);
  // The orchestrator shows others what it is told.
  const told = () => open.compute.calls.find((call) => call.startsWith('learndone')) ?? '';
  await eventually(t, (t) => t.regex(told(), /"perf":0\.7721,/));
  t.notRegex(told(), /7213456|note/);
});

test('An order that is begun again shows nothing of its first attempt until storage has checked it again', async (t) => {
  await using hidden = await openHidden({ train: 'nothing' });
  const { compute } = hidden;
  const id = await run(t, hidden, 'train fails');
  compute.broken.storage = away();
  await compute.api.retryOrder({ params: { id } }, AUTHOR);
  const { attempts, shown } = await compute.api.getOrder({ params: { id } }, AUTHOR);
  t.deepEqual(shown, { detarget: 'nothing', train: 'nothing', perf: 'nothing' });
  t.deepEqual(
    attempts[0]?.steps.map(({ step }) => step),
    ['build'],
  );
  t.is(attempts[0]?.failure?.exit_code, undefined);
});

test('Exact scores over hidden data are kept nowhere, and the orchestrator is told rounded ones', async (t) => {
  await using hidden = await openHidden({ digits: 2 });
  const id = await run(t, hidden, 'done');
  const { performance } = (await hidden.compute.api.getOrder({ params: { id } }, ADMIN)).result ?? {};
  const [tested] = Object.values(performance?.test_perf ?? {});
  t.deepEqual(
    [performance?.perf, tested, Object.keys(performance ?? {})],
    [0.77, 77_000_000, ['perf', 'train_perf', 'test_perf']],
  );
  const rows = await hidden.compute.database.read.selectFrom('orders').select('result').execute();
  t.notRegex(JSON.stringify(rows), /7213456/);
  await eventually(t, (t) => t.true(hidden.compute.calls.some((call) => call.startsWith(`learndone ${id}`))));
  t.notRegex(hidden.compute.calls.join('\n'), /7213456/);
});

test('The digest and size of a prediction are shown to who made it and who may see its data', async (t) => {
  await using hidden = await openHidden();
  const body = aPreduplet();
  await hidden.compute.api.pred({ body }, AUTHOR);
  const claim = await hidden.worker.mustClaim();
  await hidden.worker.report(claim, { outcome: 'done', result: resultOf(claim) });
  const shown = async (call: Call) =>
    Object.keys((await hidden.compute.api.getOrder({ params: { id: body.uuid } }, call)).result ?? {});
  await eventually(t, async (t) => t.deepEqual(await shown(AUTHOR), ['uuid', 'sha256', 'size']));
  t.deepEqual(await shown(PROBLEM_OWNER), ['uuid', 'sha256', 'size']);
  t.deepEqual(await shown(as('eve')), ['uuid']);
});

const ALL = { detarget: 'all', train: 'all', perf: 'all' } as const;

test('A canary in a log withholds the result and the log; the problem’s owner alone hears which it was', async (t) => {
  // It is printed in two pieces, with those of another stream in between.
  await using hidden = await openHidden(ALL, ['no such string', `${SECRET}\ntrain stdout more`]);
  const id = await run(t, hidden, 'runs');
  const params = { id, attempt: 1 };
  const chunks = ['stdout', 'stderr', 'stdout'].map((stream, n) => ({
    ...{ seq: 100 + n, step: 'train' as const, stream: stream as 'stdout' | 'stderr' },
    text: n === 0 ? 'train std' : n === 1 ? 'in between' : `out more ${SECRET}\n`,
  }));
  await hidden.compute.api.appendLog({ params, body: { chunks } });
  t.notRegex(await logOf(hidden, id, AUTHOR), /7213456/);
  const order = await hidden.compute.database.read.selectFrom('orders').selectAll().executeTakeFirstOrThrow();
  const spec = { kind: 'learn' as const, uplet: aLearnuplet({ model_end: order.model_end ?? '' }) };
  const result = resultOf({ order: id, attempt: 1, spec, gpus: 0, lease_ms: 1 });
  t.is(await hidden.worker.report({ order: id, attempt: 1 }, { outcome: 'done', result }), 'failed');
  t.deepEqual((await hidden.compute.api.getOrder({ params: { id } }, AUTHOR)).failure, {
    reason: 'withheld',
    message: 'The result is withheld: the owner of the problem can say more.',
  });
  t.notRegex(await logOf(hidden, id, AUTHOR), /7213456/);
  t.notRegex(await allOf(hidden, id, AUTHOR), /number 2/);
  t.regex(await allOf(hidden, id, PROBLEM_OWNER), /step train printed holds the canary number 2/);
  const { failure } = await hidden.compute.api.getOrder({ params: { id } }, PROBLEM_OWNER);
  t.regex(failure?.hint ?? '', /^Correct the algorithm/, 'the owner is not sent to the owner');
  await eventually(t, (t) => t.true(hidden.compute.calls.includes(`discard ${id}`)));
});

test('Of a problem with canaries, what others may see of a log is shown once it was looked through', async (t) => {
  await using hidden = await openHidden(ALL, ['no such string']);
  const running = await run(t, hidden, 'runs');
  t.is(
    await logOf(hidden, running, AUTHOR),
    'build stdout an image\nbuild stderr an image\nbuild platform an image\n',
  );
  await hidden.compute.api.cancelOrder({ params: { id: running } });
  t.regex(await logOf(hidden, running, AUTHOR), /train stdout 7213456/);
  const { body } = await hidden.compute.api.orderLog(
    { params: { id: running }, query: { follow: true } },
    AUTHOR,
  );
  t.is(body === undefined ? '' : await text(body), await logOf(hidden, running, AUTHOR));
});

test('The log of an order that has ended is looked through once, however many read it', async (t) => {
  await using hidden = await openHidden(ALL, ['no such string']);
  const id = await run(t, hidden, 'train fails');
  const { read } = hidden.compute.database;
  const order = await read.selectFrom('orders').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  let reads = 0;
  const searched = new SearchedLogs({
    get read() {
      reads += 1;
      return read;
    },
  });
  const [first, ...others] = [searched.holdCanary(order), searched.holdCanary(order)];
  t.false(await first);
  const once = reads;
  t.false((await Promise.all([...others, searched.holdCanary(order)])).includes(true));
  t.true(once > 0);
  t.is(reads, once);
});

test('While a log is looked through for canaries, others run', async (t) => {
  let turns = 0;
  const turn = () => {
    turns += 1;
    pending = setImmediate(turn);
  };
  let pending = setImmediate(turn);
  const chunk = {
    at: '',
    attempt: 1,
    step: 'train' as const,
    stream: 'stdout' as const,
    text: 'x'.repeat(65_536),
  };
  const entries = (async function* () {
    for (let position = 1; position <= 32; position++) yield chunk;
  })();
  t.is(await findInLog(['no such string'], entries), undefined);
  clearImmediate(pending);
  t.true(turns >= 8, `${turns}`);
});

test('A result that storage withholds for a canary fails the order, and tells the problem’s owner alone why', async (t) => {
  await using hidden = await openHidden(ALL, ['no such string']);
  hidden.compute.broken.publish = new PlatformError(
    'wrong_state',
    'It holds the canary number 1 of its problem.',
  );
  const body = aLearnuplet();
  await hidden.compute.api.learn({ body }, AUTHOR);
  await hidden.worker.finish(await hidden.worker.mustClaim());
  const failureFor = async (call: Call) =>
    (await hidden.compute.api.getOrder({ params: { id: body.uuid } }, call)).failure;
  await eventually(t, async (t) =>
    t.deepEqual(await failureFor(AUTHOR), {
      reason: 'withheld',
      message: 'The result is withheld: the owner of the problem can say more.',
    }),
  );
  t.like(await failureFor(PROBLEM_OWNER), {
    reason: 'withheld',
    message: 'Storage refused to publish the result: It holds the canary number 1 of its problem.',
  });
});

test('Programs go from a prediction to those alone of which the same people see the same, and from hidden data to none', async (t) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker({ learn: 1, predict: 10 });
  const audience = async (policy: { hidden?: boolean; readers?: string[]; disclosure?: Disclosure }) => {
    compute.checks.refuse = (request) => {
      const answer = pinned(request);
      return answer.outcome === 'pinned' ? { ...answer, policy: { ...answer.policy, ...policy } } : answer;
    };
    await compute.api.pred({ body: aPreduplet() }, AUTHOR);
    return (await worker.mustClaim()).audience;
  };
  const both = await audience({ hidden: false, readers: ['bob', 'ada'] });
  t.truthy(both);
  t.is(await audience({ hidden: false, readers: ['ada', 'bob'] }), both);
  t.not(await audience({ hidden: false, readers: ['bob'] }), both);
  const disclosure: Disclosure = { ...DEFAULT_DISCLOSURE, predict: 'all' };
  t.not(await audience({ hidden: false, readers: ['ada', 'bob'], disclosure }), both);
  t.is(await audience({ hidden: true, readers: ['ada'] }), undefined);
});
