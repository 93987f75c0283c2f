import { randomUUID } from 'node:crypto';

/** A problem has many orders, of a few algorithms, on a few data sets. */
const [PROBLEM, WORKFLOW, TRAIN, TEST] = Array.from({ length: 4 }, () => randomUUID());
const ALGOS = Array.from({ length: 8 }, () => randomUUID());

/** Makes the body of a learn order that is like no other, and its id. */
export function nextOrder(): { readonly id: string; readonly body: string } {
  const id = randomUUID();
  const algo = ALGOS[Math.floor(Math.random() * ALGOS.length)];
  const order = {
    uuid: id,
    problem: PROBLEM,
    workflow: WORKFLOW,
    train_data: [TRAIN],
    test_data: [TEST],
    algo,
    model_start: algo,
    model_end: randomUUID(),
    rank: 0,
    status: 'todo',
  };
  return { id, body: JSON.stringify(order) };
}
