import {
  DEFAULT_DISCLOSURE,
  NIL_UUID,
  type PinAnswer,
  type PinRequest,
  PlatformError,
} from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import { sql } from 'kysely';
import { ComputeDatabase } from '../db/database.ts';
import { pinned } from '../testing/fake-systems.ts';
import { testOnEngines } from '../testing/on-engines.ts';
import { away, type TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet, aPreduplet } from '../testing/orders.ts';
import { type CheckAnswer, type Checked, onChecked } from './checked.ts';

const forbidden = ({ order }: PinRequest): PinAnswer => ({
  outcome: 'refused',
  order,
  reason: 'forbidden',
  message: 'anonymous may not use data 1 of bob. Its owner can allow it; or correct the order.',
  missing: [],
});

const view = async ({ api }: TestCompute, id: string) => await api.getOrder({ params: { id } });
const why = async ({ api }: TestCompute, id: string) => await api.whyOrder({ params: { id } });

testOnEngines('Storage is asked for all that an order names before a worker gets it', async (t, open) => {
  await using compute = await open();
  const worker = await compute.worker();
  const learn = aLearnuplet({ owner: undefined });
  await compute.api.learn({ body: learn });
  const { order, spec, ticket } = await worker.mustClaim();
  t.is(order, learn.uuid);
  const [[request] = []] = compute.checks.asked;
  t.deepEqual(request, {
    ...{ order, round: 1, owner: 'anonymous', kind: 'learn' },
    uses: [
      { type: 'problem', uuid: learn.workflow, as: 'problem' },
      { type: 'algo', uuid: learn.algo, as: 'algo' },
      { type: 'data', uuid: learn.train_data[0] ?? '', as: 'train' },
      { type: 'data', uuid: learn.test_data[0] ?? '', as: 'test' },
    ],
    produces: { type: 'model', uuid: learn.model_end },
  });
  t.is(spec.uplet.uuid, order);
  t.like(JSON.parse(ticket ?? '{}'), {
    order,
    attempt: 1,
    produces: { type: 'model', uuid: learn.model_end },
  });
});

testOnEngines(
  'What ends an order waits for the disk, also beside orders that become due',
  async (t, open, engine) => {
    await using compute = await open();
    compute.broken.storage = away();
    const database = new ComputeDatabase(compute.database, ['storage']);
    const bodies = Array.from({ length: 3 }, () => aLearnuplet());
    for (const body of bodies) await compute.unchecked.learn({ body });
    const produces = { type: 'model', uuid: aLearnuplet().model_end } as const;
    const of = { problem_owner: 'ada', hidden: false, disclosure: DEFAULT_DISCLOSURE };
    const due: CheckAnswer = {
      ...{ outcome: 'pinned', order: '', pin: '', produces },
      policy: { ...of, readers: 'everybody', canaries: [] },
    };
    const refused = { outcome: 'refused', reason: 'forbidden', message: 'It is not yours.' } as const;
    const checkedBy = (...answers: CheckAnswer[]) =>
      answers.map((answer) => ({ order: bodies.shift()?.uuid ?? '', n: 1, answer }));
    const waits = async (checked: readonly Checked[]) =>
      await database.write(async (tx) => {
        await onChecked(tx, checked, { foreignWorkers: undefined, wakeAgainMs: 1 });
        if (engine === 'sqlite') return true;
        const setting = sql<{ commits: string }>`select current_setting('synchronous_commit') as commits`;
        return (await setting.execute(tx.db)).rows[0]?.commits === 'on';
      });
    t.is(await waits(checkedBy(due)), engine === 'sqlite', 'what is done again where it is lost');
    t.true(await waits(checkedBy(due, refused)));
  },
);

testOnEngines(
  'While storage is away orders are accepted, why says so, and none is claimed',
  async (t, open) => {
    await using compute = await open();
    const worker = await compute.worker();
    compute.broken.storage = away();
    const body = aLearnuplet();
    await compute.api.learn({ body });
    await eventually(t, async (t) => t.is((await why(compute, body.uuid)).code, 'storage_away'));
    t.is((await view(compute, body.uuid)).status, 'waiting');
    t.is(await worker.claim(), null);
    delete compute.broken.storage;
    t.is((await worker.mustClaim()).order, body.uuid);
  },
);

testOnEngines('An order that storage was not asked for yet is being checked', async (t, open) => {
  await using compute = await open();
  const answer = Promise.withResolvers<void>();
  compute.checks.before = answer.promise;
  const body = aLearnuplet();
  await compute.unchecked.learn({ body });
  t.is((await why(compute, body.uuid)).code, 'being_checked');
  answer.resolve();
  await eventually(t, async (t) => t.is((await view(compute, body.uuid)).status, 'todo'));
});

testOnEngines(
  'A refusal ends the order with what is missing, and those that wait for it',
  async (t, open) => {
    await using compute = await open();
    const [body, next] = [aLearnuplet(), aLearnuplet({ rank: 1 })];
    next.model_start = body.model_end;
    compute.broken.storage = away();
    await compute.api.learn({ body });
    await compute.api.learn({ body: next });
    compute.checks.refuse = forbidden;
    delete compute.broken.storage;
    await eventually(t, async (t) => t.is((await view(compute, next.uuid)).status, 'failed'));
    t.like((await view(compute, body.uuid)).failure, { reason: 'forbidden', step: 'inputs' });
    t.regex((await view(compute, body.uuid)).failure?.message ?? '', /Its owner can allow it/);
    t.is((await view(compute, next.uuid)).failure?.reason, 'input_not_found');
    await eventually(t, (t) => {
      t.true(compute.calls.includes(`discard ${body.uuid}`));
      t.is(compute.calls.filter((call) => call.includes('"failed"')).length, 2);
    });
  },
);

testOnEngines('An order that was refused is checked again when it is retried', async (t, open) => {
  await using compute = await open();
  const worker = await compute.worker();
  const body = aLearnuplet();
  compute.checks.refuse = forbidden;
  await compute.api.learn({ body });
  await eventually(t, async (t) => t.is((await view(compute, body.uuid)).status, 'failed'));
  compute.checks.refuse = () => undefined;
  await compute.api.retryOrder({ params: { id: body.uuid } });
  t.is((await worker.mustClaim()).order, body.uuid);
  t.deepEqual(
    compute.checks.asked.flat().map(({ round }) => round),
    [1, 2],
  );
});

testOnEngines(
  'An order that waits for its start model is checked when the model is there',
  async (t, open) => {
    await using compute = await open();
    const worker = await compute.worker();
    const first = aLearnuplet();
    const next = aLearnuplet({ rank: 1, model_start: first.model_end });
    await compute.api.learn({ body: first });
    await compute.api.learn({ body: next });
    t.deepEqual(
      compute.checks.asked.flat().map(({ order }) => order),
      [first.uuid],
    );
    await worker.finish(await worker.mustClaim());
    t.is((await worker.mustClaim()).order, next.uuid);
    t.like(compute.checks.asked.flat()[1]?.uses, {
      2: { type: 'model', uuid: first.model_end, as: 'model' },
    });
  },
);

testOnEngines('An order that ends before it was checked is let go of, and never due', async (t, open) => {
  await using compute = await open();
  const worker = await compute.worker();
  compute.broken.storage = away();
  const body = aLearnuplet();
  await compute.api.learn({ body });
  await compute.api.cancelOrder({ params: { id: body.uuid } });
  await compute.api.retryOrder({ params: { id: body.uuid } });
  await compute.api.cancelOrder({ params: { id: body.uuid } });
  delete compute.broken.storage;
  await eventually(t, (t) => t.is(compute.calls.filter((call) => call === `discard ${body.uuid}`).length, 2));
  t.is(await worker.claim(), null);
  t.is((await view(compute, body.uuid)).status, 'cancelled');
  t.deepEqual(compute.checks.asked.flat(), []);
});

testOnEngines('Orders that come together are checked together, a hundred in a call', async (t, open) => {
  await using compute = await open();
  compute.broken.storage = away();
  const bodies = Array.from({ length: 150 }, () => aLearnuplet());
  for (const body of bodies) await compute.unchecked.learn({ body });
  delete compute.broken.storage;
  await eventually(t, async (t) =>
    t.is((await compute.api.listOrders({ query: { status: 'todo' } })).total, bodies.length),
  );
  t.true(compute.checks.asked.every((orders) => orders.length <= 100));
  t.true(compute.checks.asked.length < bodies.length / 2, `${compute.checks.asked.length} calls`);
});

testOnEngines(
  'Accepting an order calls nobody, and those accepted meanwhile share a check',
  async (t, open) => {
    await using compute = await open();
    const answer = Promise.withResolvers<void>();
    compute.checks.before = answer.promise;
    const bodies = Array.from({ length: 30 }, () => aLearnuplet());
    for (const body of bodies) await compute.unchecked.learn({ body });
    t.deepEqual(
      [compute.checks.asked, compute.calls],
      [[], []],
      'nothing was answered, and all are accepted',
    );
    answer.resolve();
    await eventually(t, async (t) =>
      t.is((await compute.api.listOrders({ query: { status: 'todo' } })).total, bodies.length),
    );
    t.true(compute.checks.asked.length <= 2, `${compute.checks.asked.length} calls`);
    t.is(compute.checks.asked.flat().length, bodies.length);
    t.deepEqual(compute.calls, []);
  },
);

testOnEngines('An order that storage cannot read does not hold up the others', async (t, open) => {
  await using compute = await open();
  const [odd, fine] = [aLearnuplet(), aLearnuplet()];
  compute.broken.storage = away();
  await compute.api.learn({ body: odd });
  await compute.api.learn({ body: fine });
  compute.checks.refuse = ({ order }) => {
    if (order === odd.uuid) throw new PlatformError('invalid_request', 'body.orders[0]: is odd');
    return undefined;
  };
  delete compute.broken.storage;
  await eventually(t, async (t) => t.is((await view(compute, fine.uuid)).status, 'todo'));
  await eventually(t, async (t) => t.is((await view(compute, odd.uuid)).failure?.reason, 'internal'));
});

testOnEngines(
  'Where storage knows a later round of an order, the order begins another one',
  async (t, open) => {
    await using compute = await open();
    const worker = await compute.worker();
    compute.checks.refuse = ({ order, round }) => (round < 3 ? { outcome: 'stale', order } : undefined);
    const body = aLearnuplet();
    await compute.api.learn({ body });
    t.is((await worker.mustClaim()).order, body.uuid);
    t.is(compute.checks.asked.flat().at(-1)?.round, 3);
  },
);

testOnEngines(
  'A prediction that names no id gets the one that storage keeps free for it',
  async (t, open) => {
    await using compute = await open();
    const worker = await compute.worker();
    const kept = '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11';
    compute.checks.refuse = (request) => {
      t.is(request.produces.uuid, NIL_UUID);
      return pinned({ ...request, produces: { type: 'prediction', uuid: kept } });
    };
    await compute.api.pred({ body: aPreduplet() });
    const claim = await worker.mustClaim();
    t.like(claim.spec.uplet, { prediction_storage_uuid: kept });
    const result = { uuid: claim.order, sha256: 'a'.repeat(64), size: 1 };
    await t.throwsAsync(worker.report(claim, { outcome: 'done', result }), { code: 'invalid_request' });
    t.is(await worker.finish(claim), 'pending');
  },
);

testOnEngines('A renewal brings another ticket, and so does a restart of the worker', async (t, open) => {
  await using compute = await open();
  const worker = await compute.worker();
  await compute.api.learn({ body: aLearnuplet() });
  const { order, attempt, ticket } = await worker.mustClaim();
  const body = { boot: worker.boot, attempts: [{ order, attempt }] };
  const { held } = await compute.api.renewLeases({ params: { worker: worker.id }, body });
  const [resumed] = await worker.restart([{ order, attempt }]);
  t.truthy(ticket);
  t.deepEqual([held[0]?.ticket, resumed?.ticket], [ticket, ticket]);
});
