import { randomUUID } from 'node:crypto';
import { NIL_UUID } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import { testOnEngines } from '../testing/on-engines.ts';
import { aLearnuplet, aPreduplet } from '../testing/orders.ts';

const LEARN_RULES: readonly [string, Parameters<typeof aLearnuplet>[0]][] = [
  ['id field is required', { uuid: NIL_UUID, problem: NIL_UUID }],
  ['problem field is required', { problem: NIL_UUID, workflow: NIL_UUID }],
  ['workflow field is required', { workflow: NIL_UUID }],
  ['algo field is required', { algo: NIL_UUID, train_data: [] }],
  ['train_data field is empty or unset', { train_data: [] }],
  ['Nil UUID in train_data field at pos 1', { train_data: [randomUUID(), NIL_UUID] }],
  ['test_data field is empty or unset', { test_data: [] }],
  ['Nil UUID in test_data field at pos 0', { test_data: [NIL_UUID], status: 'x' }],
  [
    "status field ain't valid (provided: xxx, possible choices: map[done:{} failed:{} pending:{} todo:{}]",
    { status: 'xxx' },
  ],
  ['rank field should be 0 or more (provided: -1)', { rank: -1 }],
];

for (const [rule, members] of LEARN_RULES) {
  testOnEngines(`A learnuplet is refused with the rule "${rule}"`, async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    await t.throwsAsync(compute.api.learn({ body: aLearnuplet(members) }), {
      code: 'invalid_order',
      message: `Invalid learn-uplet: ${rule}`,
    });
    t.is((await compute.api.listOrders({ query: {} })).total, 0);
  });
}

testOnEngines(
  'A learnuplet that names more data sets than are allowed is refused',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute({ orderData: 5 });
    const ids = (count: number) => Array.from({ length: count }, () => randomUUID());
    const body = (train: number) => aLearnuplet({ train_data: ids(train), test_data: ids(2) });
    await t.notThrowsAsync(compute.api.learn({ body: body(3) }));
    const refusal = {
      code: 'invalid_order',
      message: /name 6 data sets, and may name 5 together.*--order-data/,
    };
    await t.throwsAsync(compute.api.learn({ body: body(4) }), refusal);
  },
);

const PRED_RULES: readonly [string, Parameters<typeof aPreduplet>[0]][] = [
  ['id field is unset', { uuid: NIL_UUID, problem: NIL_UUID }],
  ['problem field is unset', { problem: NIL_UUID }],
  ['workflow field is unset', { workflow: NIL_UUID }],
  ['model field is required', { model: NIL_UUID }],
  ['Nil UUID in data field', { data: NIL_UUID, status: '' }],
];

for (const [rule, members] of PRED_RULES) {
  testOnEngines(`A preduplet is refused with the rule "${rule}"`, async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    await t.throwsAsync(compute.api.pred({ body: aPreduplet(members) }), {
      code: 'invalid_order',
      message: `Invalid pred-uplet: ${rule}`,
    });
  });
}

testOnEngines('The same order again is the same order', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const body = aLearnuplet();
  await compute.api.learn({ body });
  await compute.api.learn({ body: { ...body, timestamp_request: 7 } });
  t.is((await compute.api.listOrders({ query: {} })).total, 1);
});

testOnEngines('The same uuid with another body is a conflict', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const body = aLearnuplet();
  await compute.api.learn({ body });
  await t.throwsAsync(compute.api.learn({ body: { ...body, algo: randomUUID() } }), { code: 'conflict' });
  await t.throwsAsync(compute.api.pred({ body: aPreduplet({ uuid: body.uuid }) }), { code: 'conflict' });
});

testOnEngines(
  'One order out of many that arrive together under one uuid is kept',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const uuid = randomUUID();
    const posts = Array.from(
      { length: 20 },
      async () => await compute.api.learn({ body: aLearnuplet({ uuid }) }),
    );
    const outcomes = await Promise.allSettled(posts);
    t.is(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, 1);
    t.is((await compute.api.listOrders({ query: {} })).total, 1);
  },
);

testOnEngines("An order is published in the original's own words", async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const learn = aLearnuplet();
  const predict = aPreduplet({ timestamp_request: 1_508_515_000, prediction_storage_uuid: randomUUID() });
  await compute.api.learn({ body: learn });
  await compute.api.pred({ body: predict });
  await eventually(t, (t) => t.is(new Set(compute.published.map(({ topic }) => topic)).size, 2));
  // Both are checked at once, and announced in whatever order the answers come; again where nobody claims them.
  const messagesOf = (topic: string) => {
    const published = compute.published.filter((one) => one.topic === topic);
    return [...new Map(published.map((one) => [one.message, one])).values()];
  };
  t.deepEqual(messagesOf('train'), [
    {
      topic: 'train',
      message: `{"Checkable":null,"uuid":"${learn.uuid}","problem":"${learn.problem}","workflow":"${learn.workflow}","train_data":["${learn.train_data[0]}"],"test_data":["${learn.test_data[0]}"],"algo":"${learn.algo}","model_start":"${NIL_UUID}","model_end":"${learn.model_end}","rank":0,"worker":"${NIL_UUID}","status":"todo","timestamp_request":0,"timestamp_done":0}`,
    },
  ]);
  t.deepEqual(messagesOf('prediction'), [
    {
      topic: 'prediction',
      message: `{"Checkable":null,"uuid":"${predict.uuid}","problem":"${predict.problem}","workflow":"${predict.workflow}","model":"${predict.model}","data":"${predict.data}","worker":"${NIL_UUID}","status":"todo","timestamp_request":1508515000,"timestamp_done":0,"prediction_storage_uuid":"${predict.prediction_storage_uuid}"}`,
    },
  ]);
});

testOnEngines(
  'An order that no broker takes for its size is announced by its id',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const large = (sets: number) =>
      aLearnuplet({ train_data: Array.from({ length: sets }, () => randomUUID()) });
    const [whole, byId] = [large(5000), large(30_000)];
    await compute.api.learn({ body: whole });
    await compute.api.learn({ body: byId });
    await eventually(t, (t) => t.is(new Set(compute.published.map(({ message }) => message)).size, 2));
    const messages = compute.published.map(
      ({ message }) => JSON.parse(message) as { uuid: string; train_data?: string[] },
    );
    const messageOf = (id: string) => messages.find(({ uuid }) => uuid === id);
    t.like(messageOf(whole.uuid), { uuid: whole.uuid, train_data: whole.train_data });
    t.deepEqual(messageOf(byId.uuid), { uuid: byId.uuid });
  },
);

testOnEngines('A learnuplet without an id for its model is given one', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const body = aLearnuplet({ model_end: NIL_UUID });
  await compute.api.learn({ body });
  const view = await compute.api.getOrder({ params: { id: body.uuid } });
  t.regex(view.model_end ?? '', /^[0-9a-f-]{36}$/);
  t.not(view.model_end, NIL_UUID);
});
