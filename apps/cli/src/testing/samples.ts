import type { OrderEvent, OrderView, ServerEvent } from '@morpheo/common';

/** Ids that tests tell apart at a glance. */
export const IDS = {
  order: '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11',
  other: '6c7affff-0b1d-4f0c-9f8e-2b6d1f7c0a12',
  workflow: '7d4a1c7e-6c1b-4c55-9d7a-5d9b0a5be002',
  algo: 'a1b6e2de-3a1f-4d6c-bb1e-6a7a51c7e003',
  model: 'f3b0c4d2-9a52-4c0e-8d56-0f1c2b3ae004',
  worker: '99999999-9999-4999-8999-999999999999',
  train: '11111111-1111-4111-8111-111111111111',
  test: '22222222-2222-4222-8222-222222222222',
  data: '33333333-3333-4333-8333-333333333333',
} as const;

const SHA256 = 'ab'.repeat(32);

/** A training that is done; `changes` make it another. */
export function sampleOrder(changes: Partial<OrderView> = {}): OrderView {
  return {
    id: IDS.order,
    kind: 'learn',
    status: 'done',
    problem: IDS.workflow,
    workflow: IDS.workflow,
    algo: IDS.algo,
    model_end: IDS.model,
    train_data: [IDS.train],
    test_data: [IDS.test],
    rank: 0,
    gpus: 0,
    owner: 'anonymous',
    priority: 0,
    attempt: 1,
    created_at: '2025-11-22T15:51:00.000Z',
    started_at: '2025-11-22T15:51:01.000Z',
    ended_at: '2025-11-22T15:51:03.500Z',
    result: {
      uuid: IDS.model,
      sha256: SHA256,
      size: 12_345,
      performance: { perf: 0.938, train_perf: { [IDS.train]: 0.9813 }, test_perf: { [IDS.test]: 0.938 } },
    },
    attempts: [
      {
        attempt: 1,
        worker: IDS.worker,
        started_at: '2025-11-22T15:51:01.000Z',
        ended_at: '2025-11-22T15:51:03.500Z',
        outcome: 'done',
        steps: [
          { step: 'build', seconds: 0.01, cached: true },
          { step: 'train', seconds: 0.63, exit_code: 0, peak_memory_bytes: 54_000_000, cpu_seconds: 0.8 },
        ],
      },
    ],
    ...changes,
  };
}

/** An order that its own code failed. */
export function failedOrder(): OrderView {
  const { result: _result, ...order } = sampleOrder();
  return {
    ...order,
    status: 'failed',
    failure: {
      reason: 'exit_code',
      message: 'The container of the step train ended with exit code 3.',
      step: 'train',
      exit_code: 3,
      log_tail: ['reading train-1', 'Error: no digit \u001b[31m11'],
    },
  };
}

/** The history of a training, as events. */
export function sampleHistory(last: 'done' | 'failed' = 'done'): ServerEvent<OrderEvent>[] {
  const happened: [OrderEvent['what'], OrderEvent['status'], number, Record<string, unknown>][] = [
    ['accepted', 'todo', 0, {}],
    ['claimed', 'pending', 1, { worker: IDS.worker }],
    ['step_started', 'pending', 1, { step: 'train' }],
    [
      'step_ended',
      'pending',
      1,
      { step: 'train', seconds: 0.63, exit_code: 0, peak_memory_bytes: 54_000_000 },
    ],
    ['publishing', 'pending', 1, {}],
    [last, last, 1, last === 'done' ? {} : { failure: failedOrder().failure }],
  ];
  return happened.map(([what, status, attempt, details], index) => ({
    id: String(index + 1),
    event: what,
    data: {
      at: `2025-11-22T15:51:0${index}.000Z`,
      order: IDS.order,
      attempt,
      what,
      status,
      details,
    },
  }));
}
