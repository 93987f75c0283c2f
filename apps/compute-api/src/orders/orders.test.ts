import { randomUUID } from 'node:crypto';
import { eventually } from '@morpheo/service/testing';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet, aPreduplet } from '../testing/orders.ts';

testOnEngines('A rank waits for the model of the rank before it', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker();
  const first = aLearnuplet();
  const next = aLearnuplet({ rank: 1, model_start: first.model_end });
  await compute.api.learn({ body: first });
  await compute.api.learn({ body: next });
  t.like(await compute.api.whyOrder({ params: { id: next.uuid } }), {
    code: 'waits_for_model',
    waits_for: first.uuid,
  });
  const claim = await worker.mustClaim();
  t.is(claim.order, first.uuid);
  t.is(await worker.claim(), null);
  await worker.finish(claim);
  await eventually(t, async (t) => t.is((await worker.claim())?.order, next.uuid));
});

testOnEngines(
  'An order waits for its start model whatever others claim to make it',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const as = (name: string) => ({ principal: { name, roles: ['orchestrator' as const] } });
    const worker = await compute.worker();
    const first = aLearnuplet({ owner: undefined });
    const next = aLearnuplet({ owner: undefined, rank: 1, model_start: first.model_end });
    await compute.api.learn({ body: first }, as('ann'));
    compute.checks.refuse = (request) =>
      request.owner === 'eve'
        ? { outcome: 'refused', order: request.order, reason: 'invalid_result', message: 'x', missing: [] }
        : undefined;
    const claims = [1, 2].map(() => aLearnuplet({ owner: undefined, model_end: first.model_end }));
    for (const body of claims) await compute.api.learn({ body }, as('eve'));
    t.is((await compute.api.getOrder({ params: { id: claims[0]?.uuid ?? '' } })).status, 'failed');
    await compute.api.learn({ body: next }, as('ann'));
    const why = async () => await compute.api.whyOrder({ params: { id: next.uuid } });
    t.like(await why(), { code: 'waits_for_model', waits_for: first.uuid });
    await worker.fail(await worker.mustClaim());
    t.like(await why(), { code: 'ended' });
    // Nor where they are not checked yet, and the order that made it has ended.
    await compute.api.retryOrder({ params: { id: first.uuid } });
    await worker.finish(await worker.mustClaim());
    await eventually(t, async (t) =>
      t.is((await compute.api.getOrder({ params: { id: first.uuid } })).status, 'done'),
    );
    const held = Promise.withResolvers<void>();
    compute.checks.before = held.promise;
    const [late, last] = [
      aLearnuplet({ owner: undefined, model_end: first.model_end }),
      aLearnuplet({ owner: undefined, rank: 1, model_start: first.model_end }),
    ];
    await compute.unchecked.learn({ body: late }, as('eve'));
    await compute.unchecked.learn({ body: last }, as('ann'));
    t.is((await compute.api.whyOrder({ params: { id: last.uuid } })).code, 'being_checked');
    held.resolve();
  },
);

testOnEngines('Orders fail with the order that should have made their model', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker();
  const chain = [aLearnuplet()];
  for (let rank = 1; rank < 3; rank++)
    chain.push(aLearnuplet({ rank, model_start: chain[rank - 1]?.model_end ?? '' }));
  const prediction = aPreduplet({ model: chain[2]?.model_end ?? '' });
  for (const body of chain) await compute.api.learn({ body });
  await compute.api.pred({ body: prediction });
  await worker.fail(await worker.mustClaim());
  for (const body of [...chain.slice(1), prediction]) {
    t.like(await compute.api.getOrder({ params: { id: body.uuid } }), {
      status: 'failed',
      failure: { reason: 'input_not_found' },
    });
  }
  await eventually(t, (t) => t.is(compute.calls.filter((call) => call.includes('"failed"')).length, 4));
});

testOnEngines('An order that was not claimed is cancelled at once', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker();
  const body = aLearnuplet();
  await compute.api.learn({ body });
  const call = { principal: { name: 'ada', roles: ['admin' as const] } };
  const cancelled = await compute.api.cancelOrder({ params: { id: body.uuid } }, call);
  t.like(cancelled, { status: 'cancelled', failure: { reason: 'cancelled', message: 'Cancelled by ada.' } });
  t.is((await compute.api.cancelOrder({ params: { id: body.uuid } })).status, 'cancelled');
  t.is(await worker.claim(), null);
  await eventually(t, (t) => t.true(compute.calls.includes(`learndone ${body.uuid} {"status":"failed"}`)));
});

testOnEngines('A failed order that is retried has all its attempts again', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker();
  const body = aLearnuplet();
  await compute.api.learn({ body });
  await worker.fail(await worker.mustClaim());
  t.is((await compute.api.retryOrder({ params: { id: body.uuid } })).status, 'waiting');
  const again = await worker.mustClaim();
  t.is(again.attempt, 2);
  await worker.finish(again);
  await eventually(t, async (t) => {
    const view = await compute.api.getOrder({ params: { id: body.uuid } });
    t.is(view.status, 'done');
    t.is(view.failure, undefined);
  });
});

testOnEngines('What is done can be neither cancelled nor retried', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const { uuid: id } = await aDoneOrder(compute, t);
  await t.throwsAsync(compute.api.cancelOrder({ params: { id } }), { code: 'wrong_state' });
  await t.throwsAsync(compute.api.retryOrder({ params: { id } }), { code: 'wrong_state' });
});

testOnEngines('Each reason for waiting is named', async (t, openTestCompute) => {
  await using compute = await openTestCompute({
    retryBackOff: { firstMs: 60_000, mostMs: 60_000, jitter: 0.25 },
  });
  const [first, second] = [aLearnuplet(), aLearnuplet()];
  await compute.api.learn({ body: first });
  await compute.api.learn({ body: second });
  const why = async (id: string) => await compute.api.whyOrder({ params: { id } });
  t.is((await why(first.uuid)).code, 'no_worker');
  const worker = await compute.worker({ learn: 1, predict: 0 });
  t.like(await why(first.uuid), { code: 'workers_busy', before: 0 });
  t.like(await why(second.uuid), { code: 'position', before: 1 });
  await compute.api.pauseQueue({ body: { paused: true } });
  t.is((await why(second.uuid)).code, 'paused');
  t.is(await worker.claim(), null);
  await compute.api.pauseQueue({ body: { paused: false } });
  const claim = await worker.mustClaim();
  t.is((await why(first.uuid)).code, 'running');
  await worker.report(claim, {
    outcome: 'error',
    failure: { reason: 'internal', message: 'Storage was away.' },
  });
  const backing = await why(first.uuid);
  t.is(backing.code, 'backing_off');
  t.regex(backing.until ?? '', /^\d{4}-/);
  await t.throwsAsync(why(randomUUID()), { code: 'not_found' });
});

testOnEngines(
  'The list is filtered, counted, and paged without gap or repetition',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const problem = randomUUID();
    const bodies = Array.from({ length: 7 }, () => aLearnuplet({ problem }));
    for (const body of bodies) await compute.api.learn({ body });
    for (let other = 0; other < 3; other++) await compute.api.pred({ body: aPreduplet() });
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await compute.api.listOrders({ query: { problem, limit: 3, cursor } });
      t.is(page.total, 7);
      seen.push(...page.items.map((order) => order.id));
      cursor = page.next;
    } while (cursor !== undefined);
    t.deepEqual(seen.toSorted(byText), bodies.map((body) => body.uuid).toSorted(byText));
    t.is((await compute.api.listOrders({ query: { kind: 'predict', status: 'todo' } })).total, 3);
    t.is((await compute.api.listOrders({ query: { algo: bodies[0]?.algo } })).total, 1);
    await t.throwsAsync(compute.api.listOrders({ query: { cursor: 'x' } }), { code: 'invalid_request' });
  },
);

testOnEngines(
  'A page of orders with long lists ends before it is large, and the next goes on',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const train_data = Array.from({ length: 9000 }, () => randomUUID());
    const bodies = Array.from({ length: 5 }, () => aLearnuplet({ train_data }));
    for (const body of bodies) await compute.unchecked.learn({ body });
    const pages: string[][] = [];
    let cursor: string | undefined;
    do {
      const page = await compute.api.listOrders({ query: { cursor } });
      t.is(page.total, 5);
      t.true(JSON.stringify(page).length < 1.5e6);
      t.deepEqual(page.items[0]?.train_data, train_data);
      pages.push(page.items.map(({ id }) => id));
      cursor = page.next;
    } while (cursor !== undefined);
    t.deepEqual(
      pages.map(({ length }) => length),
      [2, 2, 1],
    );
    t.deepEqual(pages.flat().toSorted(byText), bodies.map(({ uuid }) => uuid).toSorted(byText));
  },
);

testOnEngines('An order that is larger than a page is a page', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const train_data = Array.from({ length: 30_000 }, () => randomUUID());
  for (let n = 0; n < 2; n++) await compute.unchecked.learn({ body: aLearnuplet({ train_data }) });
  const first = await compute.api.listOrders({ query: {} });
  const second = await compute.api.listOrders({ query: { cursor: first.next } });
  t.deepEqual([first.items.length, second.items.length, second.next], [1, 1, undefined]);
});

testOnEngines('The history is followed live, and from any entry on', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker();
  const body = aLearnuplet();
  await compute.api.learn({ body });
  const live = Array.fromAsync(await compute.api.orderEvents({ params: { id: body.uuid }, headers: {} }));
  const claim = await worker.mustClaim();
  const params = { id: body.uuid, attempt: claim.attempt };
  await compute.api.noteStep({ params, body: { what: 'started', step: 'train' } });
  await compute.api.noteStep({ params, body: { what: 'ended', record: { step: 'train', seconds: 1.5 } } });
  await worker.fail(claim);
  const history = (await live).filter((entry) => entry.event !== 'told');
  const names = history.map((entry) => entry.event);
  t.deepEqual(names, ['accepted', 'checked', 'claimed', 'step_started', 'step_ended', 'failed']);
  const rest = await Array.fromAsync(
    await compute.api.orderEvents({
      params: { id: body.uuid },
      headers: { 'last-event-id': history[3]?.id ?? '' },
    }),
  );
  t.true(rest.some((entry) => entry.event === 'failed'));
  t.false(rest.some((entry) => entry.event === 'step_started'));
  const view = await compute.api.getOrder({ params: { id: body.uuid } });
  t.deepEqual(view.attempts[0]?.steps, [{ step: 'train', seconds: 1.5 }]);
});

testOnEngines(
  'The log is read live and after, and a piece sent twice stands once',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const worker = await compute.worker();
    const body = aLearnuplet();
    await compute.api.learn({ body });
    const claim = await worker.mustClaim();
    const live = textOf(await compute.api.orderLog({ params: { id: body.uuid }, query: { follow: true } }));
    const params = { id: body.uuid, attempt: claim.attempt };
    const piece = (seq: number, text: string) => ({
      seq,
      step: 'train' as const,
      stream: 'stdout' as const,
      text,
    });
    await compute.api.appendLog({ params, body: { chunks: [piece(0, 'one\n'), piece(1, 'two\n')] } });
    await compute.api.appendLog({ params, body: { chunks: [piece(1, 'two\n'), piece(2, 'three\n')] } });
    const platform = { seq: 4, step: 'train' as const, stream: 'platform' as const, text: 'results: none\n' };
    await compute.api.appendLog({ params, body: { chunks: [piece(3, 'flushed at exit'), platform] } });
    await worker.fail(claim);
    const whole = 'one\ntwo\nthree\nflushed at exit\nresults: none\n';
    t.is(await live, whole);
    t.is(await textOf(await compute.api.orderLog({ params: { id: body.uuid }, query: {} })), whole);
    const events = await Array.fromAsync(
      await compute.api.orderLogEvents({ params: { id: body.uuid }, headers: {} }),
    );
    const resumed = await Array.fromAsync(
      await compute.api.orderLogEvents({
        params: { id: body.uuid },
        headers: { 'last-event-id': events[1]?.id ?? '' },
      }),
    );
    t.deepEqual(
      resumed.map((event) => event.data.text),
      ['three\n', 'flushed at exit', 'results: none\n'],
    );
  },
);

testOnEngines('Following stops when the caller goes', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const body = aLearnuplet();
  await compute.api.learn({ body });
  const gone = new AbortController();
  const call = { signal: gone.signal };
  const following = Array.fromAsync(
    await compute.api.orderEvents({ params: { id: body.uuid }, headers: {} }, call),
  );
  gone.abort();
  t.true((await following).length <= 2);
});

testOnEngines('Workers are shown with what they run', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await compute.worker({ learn: 2, predict: 1 });
  await compute.api.learn({ body: aLearnuplet() });
  const { order } = await worker.mustClaim();
  const { items } = await compute.api.listWorkers({});
  t.like(items[0], { id: worker.id, alive: true, slots: { learn: 2, predict: 1 } });
  t.like(items[0]?.running[0], { order, attempt: 1, kind: 'learn' });
  t.like(await compute.api.getQueue({}), { paused: false, counts: { pending: 1 } });
});

async function aDoneOrder(compute: TestCompute, t: Parameters<typeof eventually>[0]) {
  const worker = await compute.worker();
  const body = aLearnuplet();
  await compute.api.learn({ body });
  await worker.finish(await worker.mustClaim());
  await eventually(t, async (t) =>
    t.is((await compute.api.getOrder({ params: { id: body.uuid } })).status, 'done'),
  );
  return body;
}

async function textOf({ body }: { body?: ReadableStream<Uint8Array> | undefined }): Promise<string> {
  return await new Response(body ?? null).text();
}

function byText(a: string, b: string): number {
  return a < b ? -1 : 1;
}
