import { job, learnuplet, preduplet } from '@morpheo/common';
import { fill, idIn, idOf, quoted, type SeededDatabase } from './seeding.ts';

/** The kinds of ids of what is seeded. */
export const ID = {
  order: '0d000000',
  problem: '0b000000',
  algo: 'a1000000',
  model: '0e000000',
  data: 'da000000',
};

export const OWNERS = 100;
export const ALGOS = 200;
export const PROBLEMS = 10;
/** Orders of one owner in one group. */
const GROUP_SPAN = 100_000;
const WORKERS = 25;

/** What is known of the seeded orders: which is which, by its number from the oldest to the newest. */
export interface SeededOrders {
  readonly count: number;
  /** The newest orders, so many, wait for a worker; those before them have ended, but for a few that run. */
  readonly due: number;
  readonly newest: number;
}

/** So many seconds are between the oldest order and the newest one, at most: none is too old to be kept. */
const SPAN_MS = 3_000_000_000;

/** When an order was placed, in milliseconds since 1970. */
export function createdAt({ count, newest }: SeededOrders, n: number): number {
  return newest - (count - n) * stepOf(count);
}

function stepOf(count: number): number {
  return Math.min(1000, Math.floor(SPAN_MS / count));
}

/**
 * Fills a database of compute-api with orders as a platform has them that is in use: of ten, seven predictions, two
 * trainings and a job; one of twenty has failed; each that has ended has an attempt and a history; those of the end wait,
 * 10,000 or half of all; a hundred run. All belong to a hundred owners, who have groups.
 */
export async function seedCompute(database: SeededDatabase, count: number): Promise<SeededOrders> {
  const seeded = { count, due: Math.min(10_000, count / 2), newest: Date.now() };
  await fill(database, count, [orders(seeded), ...histories(seeded), ...groups()]);
  await database.run(`insert into order_groups (owner, name, created_at, posted, under_way)
    select owner, group_name, min(created_at), count(*), 0 from orders where group_name is not null group by owner, group_name`);
  await database.run(workers());
  return seeded;
}

const TEMPLATE = '11111111-1111-4111-8111-111111111111';

function spec(kind: 'learn' | 'predict' | 'job'): string {
  const some = { problem: idOf(ID.problem, 1), workflow: idOf(ID.problem, 2), status: 'todo' };
  const uplet = {
    learn: () =>
      learnuplet.parse({
        ...{ ...some, uuid: TEMPLATE, algo: idOf(ID.algo, 1), model_end: TEMPLATE },
        ...{ train_data: [idOf(ID.data, 1)], test_data: [idOf(ID.data, 2)] },
      }),
    predict: () =>
      preduplet.parse({ ...some, uuid: TEMPLATE, model: idOf(ID.model, 1), data: idOf(ID.data, 1) }),
    job: () => job.parse({ uuid: TEMPLATE, algo: idOf(ID.algo, 1), labels: { run: '1' } }),
  }[kind]();
  return quoted(JSON.stringify({ kind, uplet }));
}

function orders({ count, due, newest }: SeededOrders): string {
  const id = idIn(ID.order, 'i');
  const created = `(${newest} - (${count} - i) * ${stepOf(count)})`;
  const isDue = `i > ${count - due}`;
  const runs = `(i > ${count - due - 100} and i <= ${count - due})`;
  const status = `case when ${isDue} then 'todo' when ${runs} then 'pending' when i % 20 = 0 then 'failed'
    when i % 50 = 7 then 'cancelled' else 'done' end`;
  const of = (job: string, learn: string, predict: string) =>
    `case when i % 10 = 9 then ${job} when i % 5 = 1 then ${learn} else ${predict} end`;
  const columns: Readonly<Record<string, string>> = {
    id,
    kind: of(`'job'`, `'learn'`, `'predict'`),
    status,
    spec: `replace(${of(spec('job'), spec('learn'), spec('predict'))}, '${TEMPLATE}', ${id})`,
    identity: `'0000000000000000000000000000000000000000000000000000000000000000'`,
    problem: of(`''`, ...twice(idIn(ID.problem, `1 + (i / 10) % ${PROBLEMS}`))),
    workflow: of(`''`, ...twice(idIn(ID.problem, '2'))),
    algo: of(...twice(idIn(ID.algo, `1 + (i / 10) % ${ALGOS}`)), 'null'),
    model: of('null', 'null', idIn(ID.model, `1 + i % 1000`)),
    model_end: of('null', idIn(ID.model, 'i + 1000'), 'null'),
    gpus: '0',
    asks_gpus: '0',
    needs: `''`,
    owner: `'owner-' || cast((i / 10) % ${OWNERS} as text)`,
    priority: '0',
    turn_at: created,
    attempt: `case when ${isDue} then 0 else 1 end`,
    charged: `case when ${isDue} then 0 else 1 end`,
    worker: `case when ${isDue} then null else 'worker-' || cast(i % ${WORKERS} as text) end`,
    boot: `case when ${isDue} then null else 'boot' end`,
    // Longer than it is measured: nothing is taken back, and nobody is woken.
    lease_until: `case when ${runs} then ${newest + 86_400_000} end`,
    due_at: created,
    publish_after: `case when ${isDue} then ${newest + 86_400_000} end`,
    publishes: '0',
    round: '1',
    failure: `case when not (${isDue} or ${runs}) and i % 20 = 0
      then '{"reason":"exit_code","message":"It ended with exit code 1.","at":"2026-01-01T00:00:00.000Z"}' end`,
    group_name: `case when i % 10 = 3 then 'group-' || cast(i / ${GROUP_SPAN} as text) end`,
    events: '3',
    effects: '1',
    created_at: created,
    started_at: `case when ${isDue} then null else ${created} + 1000 end`,
    ended_at: `case when ${isDue} or ${runs} then null else ${created} + 2000 end`,
    ...{ lost_beside: '0', alone: '0' },
  };
  return `insert into orders (${Object.keys(columns).join(', ')}) SELECT ${Object.values(columns).join(', ')} from n`;
}

function twice(text: string): [string, string] {
  return [text, text];
}

function histories({ count, due, newest }: SeededOrders): string[] {
  const id = idIn(ID.order, 'i');
  const created = `(${newest} - (${count} - i) * ${stepOf(count)})`;
  const begun = `from n where i <= ${count - due}`;
  const event = (n: number, what: string, status: string, from: string) =>
    `insert into events (order_id, n, at, attempt, what, status, details)
     SELECT ${id}, ${n}, ${created} + ${n}, ${n === 1 ? 0 : 1}, ${what}, ${status}, '{}' ${from}`;
  const end = `case when i % 20 = 0 then 'failed' when i % 50 = 7 then 'cancelled' else 'done' end`;
  return [
    event(1, `'accepted'`, `'waiting'`, 'from n'),
    event(2, `'claimed'`, `'pending'`, begun),
    event(3, end, end, `${begun} - 100`),
    `insert into attempts (order_id, attempt, worker, boot, started_at, ended_at, outcome, log_bytes, metrics)
     SELECT ${id}, 1, 'worker-' || cast(i % ${WORKERS} as text), 'boot', ${created} + 1000,
       case when i <= ${count - due - 100} then ${created} + 2000 end,
       case when i <= ${count - due - 100} then 'done' end, 20, 0 ${begun}`,
    `insert into logs (order_id, attempt, seq, at, step, stream, text)
     SELECT ${id}, 1, 0, ${created} + 1500, 'predict', 'stdout', 'a line of the log' ${begun} and i % 10 = 8`,
  ];
}

function groups(): string[] {
  return [
    `insert into order_labels (label, order_id)
     SELECT 'run=' || cast(i % 7 as text), ${idIn(ID.order, 'i')} from n where i % 10 = 9`,
  ];
}

function workers(): string {
  const all = Array.from(
    { length: WORKERS },
    (_, n) =>
      `('worker-${n}', 'boot', 'worker ${n}', 'docker', 4, 4, 4, 0, 1, '[]', ${Date.now() + 86_400_000})`,
  );
  return `insert into workers (id, boot, name, runtime, learn_slots, predict_slots, job_slots, gpu_total, gpu_slots, gpus, seen_at)
    values ${all.join(', ')}`;
}
