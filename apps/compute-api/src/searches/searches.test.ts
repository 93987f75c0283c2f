import { randomUUID } from 'node:crypto';
import type { Call, Search } from '@morpheo/common';
import { nextSteps, type Running, type Trial } from '@morpheo/search';
import { eventually } from '@morpheo/service/testing';
import type { ExecutionContext } from 'ava';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet } from '../testing/orders.ts';
import { aSearch, parametersOf, runTrial, scoreOf, trialsOf } from '../testing/searches.ts';
import { specOf } from './spec.ts';

const SLOTS = { learn: 0, predict: 0, job: 64 };
const as = (name: string): Call => ({ principal: { name, roles: ['orchestrator'], isPerson: true } });

/** Runs all that a search places until it has ended; of several open orders the one that `choose` names ends first. */
async function runSearch(
  t: ExecutionContext,
  { api, worker, database }: Pick<TestCompute, 'api' | 'worker' | 'database'>,
  body: Search,
  choose: (open: number) => number = () => 0,
) {
  await api.postSearch({ body });
  const its = await worker(SLOTS);
  // The row alone: a view takes several queries, and this asks again and again.
  const stands = async () =>
    await database.read
      .selectFrom('searches')
      .select(['status', 'placed', 'told'])
      .where('id', '=', body.uuid)
      .executeTakeFirstOrThrow();
  const held = [];
  for (;;) {
    const { status, placed, told } = await stands();
    if (status !== 'running') break;
    while (held.length < placed - told) held.push(await its.mustClaim(0, ['job']));
    const [claim] = held.splice(choose(held.length), 1);
    if (claim === undefined) throw new Error('The search runs without an order.');
    await runTrial(its, claim);
    await eventually(t, async (t) => t.true((await stands()).told > told));
  }
  return await api.getSearch({ params: { uuid: body.uuid } });
}

testOnEngines('A search runs trials until its budget is used, and tells the best', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const body = aSearch({ name: 'first', control: true });
  const view = await runSearch(t, compute, body);
  t.like(view, { status: 'done', name: 'first', trials: 8, strategy: 'aging-evolution', running: [] });
  t.regex(view.why ?? '', /8 trials/);
  t.is(view.control?.trials, 8);
  const trials = await trialsOf(api, body.uuid);
  t.is(trials.length, 16);
  t.is(new Set(trials.map(({ parameters }) => JSON.stringify(parameters))).size, 16);
  const { best } = view;
  t.is(
    best?.value,
    scoreOf({ ...(best?.parameters as { x: number; n: number }), epochs: best?.resource ?? 0 }),
  );
  const order = await api.getOrder({ params: { id: best?.order ?? '' } });
  t.like(order, {
    status: 'done',
    group: view.group,
    result: { uuid: best?.output, scores: { score: best?.value } },
  });
  const main = view.rungs.filter(({ arm }) => arm === 'main');
  t.deepEqual(
    main.map(({ resource }) => resource),
    [1, 3],
  );
  t.is(main[0]?.done === undefined ? 0 : main[0].done + main[0].failed, 8);
  t.is(view.orders, view.ended);
  t.like((await api.listSearches({ query: {} })).items[0], { uuid: body.uuid, status: 'done', best });
});

testOnEngines('The same seed gives the same trials, and another gives others', async (t, open) => {
  await using compute = await open();
  const runs = [];
  for (const seed of [3, 3, 4]) {
    const body = aSearch({ seed, budget: { trials: 4 } });
    await runSearch(t, compute, body);
    runs.push(await trialsOf(compute.api, body.uuid));
  }
  t.deepEqual(runs[0], runs[1]);
  t.notDeepEqual(runs[0], runs[2]);
});

testOnEngines(
  'What a search has recorded gives its steps again, whichever trial ended first',
  async (t, open) => {
    await using compute = await open();
    const body = aSearch({ parallel: 4, control: true, budget: { trials: 7 } });
    let turn = 0;
    await runSearch(t, compute, body, (open) => {
      turn += 1;
      return (turn * 7) % open;
    });
    const { read } = compute.database;
    const runs = await read
      .selectFrom('search_runs')
      .selectAll()
      .where('search_id', '=', body.uuid)
      .orderBy('n')
      .execute();
    const recorded = await read
      .selectFrom('search_trials')
      .selectAll()
      .where('search_id', '=', body.uuid)
      .orderBy('number')
      .execute();
    const trials: Trial[] = [];
    const running: Running[] = [];
    const spec = specOf(body);
    const heard = runs
      .filter(({ told }) => told !== null)
      .toSorted((a, b) => Number(a.told) - Number(b.told));
    for (let told = 0; told <= heard.length; told += 1) {
      const ended = heard[told - 1];
      if (ended !== undefined) {
        running.splice(
          running.findIndex(({ trial, resource }) => trial === ended.trial && resource === ended.resource),
          1,
        );
        const { resource, value, failed, seconds } = ended;
        const trial = trials[ended.trial];
        if (trial === undefined) throw new Error('A result of no trial.');
        const rung = {
          ...{ resource, seconds: seconds ?? 0 },
          ...(value === null ? { failed: failed ?? '' } : { value }),
        };
        trials[ended.trial] = { ...trial, rungs: [...trial.rungs, rung] };
      }
      const placed = runs.filter(({ after }) => after === told);
      for (const run of placed) {
        const [step] = nextSteps(spec, trials, running, 1);
        t.like(step, { kind: run.trial === trials.length ? 'new' : 'promote', resource: run.resource });
        if (step?.kind === 'new') {
          const { parameters = '', arm } = recorded[run.trial] ?? {};
          t.deepEqual([step.parameters, step.arm], [JSON.parse(parameters), arm]);
          trials.push({ number: run.trial, arm: step.arm, parameters: step.parameters, rungs: [] });
        } else t.is(step?.kind === 'promote' ? step.trial : undefined, run.trial);
        running.push({ trial: run.trial, resource: run.resource });
      }
      t.deepEqual(
        nextSteps(spec, trials, running, placed.length === 0 ? 1 : 0).filter(({ kind }) => kind === 'new'),
        [],
      );
    }
  },
);

testOnEngines('A trial that fails is scored as failed, and its search goes on', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const body = aSearch({
    budget: { trials: 3 },
    space: { n: { kind: 'choice', choices: [8, 1, 2] } },
    strategy: { name: 'grid' },
    rungs: [1],
  });
  const view = await runSearch(t, compute, body);
  t.like(view, { status: 'done', trials: 3 });
  const { items } = await api.listTrials({ params: { uuid: body.uuid }, query: {} });
  const [failed] = items.filter(({ parameters }) => parameters.n === 8);
  t.regex(failed?.rungs[0]?.failed ?? '', /exit_code: It exited with 1/);
  t.is(items.filter(({ rungs }) => rungs[0]?.value !== undefined).length, 2);
});

testOnEngines('A search that is broken fails, and the others go on', async (t, open) => {
  await using compute = await open();
  const { api, database } = compute;
  const [broken, sound] = [aSearch(), aSearch()];
  for (const body of [broken, sound]) await api.postSearch({ body });
  const setSpec = async (spec: string) =>
    await database.write(
      async (db) => await db.updateTable('searches').set({ spec }).where('id', '=', broken.uuid).execute(),
    );
  // As no search that was taken in is: what fails here is the program, and not an order.
  await setSpec('{');
  const worker = await compute.worker(SLOTS);
  for (let n = 0; n < 2; n += 1) await runTrial(worker, await worker.mustClaim(0, ['job']));
  await eventually(t, async (t) => t.is((await api.getSearch({ params: { uuid: sound.uuid } })).ended, 1));
  await eventually(t, async (t) => {
    const { status } = await database.read
      .selectFrom('searches')
      .select('status')
      .where('id', '=', broken.uuid)
      .executeTakeFirstOrThrow();
    t.is(status, 'failed');
  });
  await setSpec(JSON.stringify(broken));
  const view = await api.getSearch({ params: { uuid: broken.uuid } });
  t.like(view, { status: 'failed', running: [], why: 'The service failed to answer; its log says why.' });
});

testOnEngines('A search is cancelled whose orders and whose group were removed', async (t, open) => {
  await using compute = await open();
  const { api, database } = compute;
  const body = aSearch();
  const { group } = await api.postSearch({ body });
  // Nobody hears of this, as where it happens while the service is away.
  await database.write(async (db) => {
    await db.deleteFrom('order_groups').where('name', '=', group).execute();
  });
  const view = await api.cancelSearch({ params: { uuid: body.uuid } });
  t.like(view, { status: 'cancelled', running: [] });
});

testOnEngines('A search stops at its target, and what still runs is cancelled', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const body = aSearch({
    parallel: 3,
    stop_at: -1000,
    rungs: [1],
    space: { n: { kind: 'int', low: 1, high: 7 } },
  });
  await api.postSearch({ body });
  const worker = await compute.worker(SLOTS);
  const params = { uuid: body.uuid };
  await runTrial(worker, await worker.mustClaim(0, ['job']));
  await eventually(t, async (t) => t.is((await api.getSearch({ params })).status, 'done'));
  const { group, running } = await api.getSearch({ params });
  t.deepEqual(running, []);
  await eventually(t, async (t) => {
    const { items } = await api.listOrders({ query: { group } });
    t.deepEqual(items.map(({ status }) => status).sort(), ['cancelled', 'cancelled', 'done']);
  });
});

testOnEngines('A cancelled search ends its orders and places no more', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const body = aSearch({ parallel: 2 });
  await api.postSearch({ body }, as('ann'));
  const params = { uuid: body.uuid };
  await t.throwsAsync(api.cancelSearch({ params }, as('bob')), { code: 'not_found' });
  const view = await api.cancelSearch({ params }, as('ann'));
  t.like(view, { status: 'cancelled', running: [], why: 'cancelled by ann' });
  t.deepEqual(await api.cancelSearch({ params }, as('ann')), view);
  await eventually(t, async (t) => {
    const { counts } = await api.getOrderGroup({ params: { name: view.group }, query: {} }, as('ann'));
    t.like(counts, { cancelled: 2, waiting: 0, todo: 0 });
  });
});

testOnEngines('Who cancels the group of a search has cancelled it', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const body = aSearch();
  const { group } = await api.postSearch({ body });
  await api.cancelOrderGroup({ params: { name: group }, query: {} });
  await eventually(t, async (t) =>
    t.like(await api.getSearch({ params: { uuid: body.uuid } }), { status: 'cancelled', orders: 1 }),
  );
});

testOnEngines('A search that is posted again is the same search', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const body = aSearch();
  const first = await api.postSearch({ body }, as('ann'));
  t.deepEqual(await api.postSearch({ body }, as('ann')), first);
  t.deepEqual(await api.getSearchFile({ params: { uuid: body.uuid } }, as('ann')), body);
  await t.throwsAsync(api.postSearch({ body: { ...body, seed: 8 } }, as('ann')), { code: 'conflict' });
  await t.throwsAsync(api.postSearch({ body }, as('bob')), { code: 'conflict' });
  await t.throwsAsync(api.getSearch({ params: { uuid: body.uuid } }, as('bob')), { code: 'not_found' });
  t.deepEqual((await api.listSearches({ query: {} }, as('bob'))).items, []);
});

testOnEngines('What makes no order is refused, and nothing of the search stays', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const refused = async (members: Parameters<typeof aSearch>[0], message: RegExp) => {
    const body = aSearch(members);
    await t.throwsAsync(api.postSearch({ body }), { message });
    await t.throwsAsync(api.getSearch({ params: { uuid: body.uuid } }), { code: 'not_found' });
  };
  await refused({ job: { algo: randomUUID(), command: 'run' } }, /body\.job\.command/);
  await refused({ job: { algo: randomUUID(), uuid: randomUUID() } }, /body\.job\.uuid: should be absent/);
  await refused({ job: {} }, /body\.job: should have exactly one of image, algo and sheep/);
  await refused({ space: { x: { kind: 'float', low: 'a', high: 1 } } }, /body\.space\.x\.low/);
  await refused({ strategy: { name: 'tpe' } }, /body\.strategy/);
  t.is((await api.listOrders({ query: {} })).total, 0);
});

testOnEngines(
  'A value is the last, the best, or that of the rung, of the metrics of a job',
  async (t, open) => {
    await using compute = await open();
    const { api } = compute;
    const worker = await compute.worker(SLOTS);
    const lines = [0.5, 0.9, 0.7].map((accuracy, at) => ({ epoch: at + 1, accuracy }));
    const values: unknown[] = [];
    for (const more of [{}, { take: 'best' }, { take: 'rung', step: 'epoch' }, { metric: 'loss' }]) {
      const objective = { goal: 'maximize', metric: 'accuracy', ...more };
      const body = aSearch({ objective, budget: { trials: 1 }, rungs: [1] });
      await api.postSearch({ body });
      const claim = await worker.mustClaim(0, ['job']);
      t.is(parametersOf(claim).epochs, 1);
      await api.noteMetrics({
        params: { id: claim.order, attempt: claim.attempt },
        body: { from: 0, lines },
      });
      await worker.finish(claim);
      const params = { uuid: body.uuid };
      await eventually(t, async (t) => t.is((await api.getSearch({ params })).status, 'done'));
      const { items } = await api.listTrials({ params, query: {} });
      values.push(items[0]?.rungs[0]?.value ?? items[0]?.rungs[0]?.failed);
    }
    t.deepEqual(values, [0.7, 0.9, 0.5, 'no line of /outputs/metrics.jsonl has a number loss']);
  },
);

testOnEngines(
  'A search of trainings gives each its parameters, and goes by their scores',
  async (t, open) => {
    await using compute = await open();
    const { api } = compute;
    const { uuid: _uuid, model_end: _model, parameters: _none, ...learn } = aLearnuplet();
    const body = aSearch({
      ...{ learn, job: undefined, objective: { goal: 'maximize' }, parameters: {} },
      ...{ budget: { trials: 2 }, rungs: [1] },
    });
    await api.postSearch({ body });
    const worker = await compute.worker();
    for (let trial = 0; trial < 2; trial += 1) {
      const claim = await worker.mustClaim(0, ['learn']);
      const { uplet } = claim.spec;
      const parameters = JSON.parse('parameters' in uplet ? (uplet.parameters ?? '') : '');
      t.like(parameters, { epochs: 1 });
      t.is(typeof parameters.x, 'number');
      await worker.finish(claim);
      await eventually(t, async (t) =>
        t.is((await api.getSearch({ params: { uuid: body.uuid } })).ended, trial + 1),
      );
    }
    t.like(await api.getSearch({ params: { uuid: body.uuid } }), { status: 'done', best: { value: 0.5 } });
    const broken = { ...aLearnuplet(), parameters: '{' };
    await t.throwsAsync(api.learn({ body: broken }), { message: /parameters field should be JSON/ });
  },
);

testOnEngines('What is to be tried first is tried first', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const start = [
    { x: 0.5, n: 3 },
    { x: -0.5, n: 4 },
  ];
  const body = aSearch({ start, parallel: 2 });
  await api.postSearch({ body });
  const { items } = await api.listTrials({ params: { uuid: body.uuid }, query: {} });
  t.deepEqual(
    items.map(({ parameters }) => parameters),
    start,
  );
  const wrong = aSearch({ start: [{ x: 2, n: 3 }] });
  await t.throwsAsync(api.postSearch({ body: wrong }), { message: /body\.start\.0\.x: is no value/ });
});

testOnEngines('A trial goes on with what it left at its last rung', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const body = aSearch({
    previous: '/start',
    budget: { trials: 3 },
    strategy: { name: 'random' },
    resource: { env: 'EPOCHS' },
  });
  await runSearch(t, compute, body);
  const { items } = await api.listTrials({ params: { uuid: body.uuid }, query: {} });
  const [promoted] = items.filter(({ rungs }) => rungs.length === 2);
  const [first, second] = await Promise.all(
    (promoted?.rungs ?? []).map(async ({ order }) => (await api.getOrder({ params: { id: order } })).job),
  );
  t.is(first?.inputs.length, 1);
  t.like(second?.inputs[1], { path: '/start', resource: { type: 'output', uuid: first?.output } });
  t.deepEqual([first?.env, second?.env], [{ EPOCHS: '1' }, { EPOCHS: '3' }]);
});

testOnEngines('Who watches is told each result once, also from where they had left off', async (t, open) => {
  await using compute = await open();
  const { api } = compute;
  const body = aSearch({ budget: { trials: 4 }, parallel: 2 });
  const params = { uuid: body.uuid };
  await api.postSearch({ body });
  const watching = api
    .searchEvents({ params, headers: {} })
    .then(async (events) => await Array.fromAsync(events));
  const view = await runSearch(t, compute, body);
  const events = await watching;
  const results = events.flatMap(({ data }) =>
    data.results.flatMap(({ rungs }) => rungs.map(({ result }) => result)),
  );
  t.deepEqual(
    results,
    Array.from({ length: view.ended }, (_, n) => n + 1),
  );
  t.deepEqual(
    events.map(({ data }) => data.ended),
    [...events.slice(1).map(() => false), true],
  );
  t.deepEqual(events.at(-1)?.data.search, view);
  const headers = { 'last-event-id': String(view.ended - 1) };
  const [rest] = await Array.fromAsync(await api.searchEvents({ params, headers }));
  t.like(rest, { id: String(view.ended), event: 'ended' });
  t.is(rest?.data.results.length, 1);
});
