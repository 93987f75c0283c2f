import { randomUUID } from 'node:crypto';
import {
  hasEnded,
  type Job,
  job,
  type Learnuplet,
  learnuplet,
  type NamedTerms,
  type OrderKind,
  type OrderStatus,
  type Preduplet,
  preduplet,
} from '@morpheo/common';
import { sql } from 'kysely';
import { keepNeeds, needsIdOf } from '../orders/needs.ts';
import type { TestCompute } from './open-test-compute.ts';

/** A training order as an orchestrator would post it, with fresh ids. */
export function aLearnuplet(members: Partial<Learnuplet> = {}): Learnuplet {
  const ids = { uuid: randomUUID(), problem: randomUUID(), workflow: randomUUID(), algo: randomUUID() };
  const data = { train_data: [randomUUID()], test_data: [randomUUID()], model_end: randomUUID() };
  return learnuplet.parse({ ...ids, ...data, status: 'todo', rank: 0, ...members });
}

/** A prediction order as an orchestrator would post it, with fresh ids. */
export function aPreduplet(members: Partial<Preduplet> = {}): Preduplet {
  const ids = { uuid: randomUUID(), problem: randomUUID(), workflow: randomUUID() };
  return preduplet.parse({ ...ids, model: randomUUID(), data: randomUUID(), status: 'todo', ...members });
}

/** A job as somebody would post it, with fresh ids. */
export function aJob(members: Partial<Job> = {}): Job {
  const image = `registry.example/tool:1@sha256:${'0'.repeat(64)}`;
  return job.parse({ uuid: randomUUID(), image, command: ['run'], ...members });
}

/** Adds due orders of an owner at once, as though they had come one a millisecond in the last hours. */
export async function seedQueue(
  { database }: TestCompute,
  owner: string,
  orders: number,
  { kind = 'learn', needs }: { readonly kind?: OrderKind; readonly needs?: NamedTerms } = {},
): Promise<void> {
  const uplet = kind === 'learn' ? aLearnuplet({ needs }) : aPreduplet({ needs });
  const spec = JSON.stringify({ kind, uplet });
  await database.write(async (tx) => {
    await keepNeeds({ db: tx }, [needs]);
    const at = sql`${database.now} - 10000000 + n.i`;
    await sql`
      insert into orders (id, kind, status, spec, identity, problem, workflow, needs, owner, turn_at, attempt, charged,
        publishes, events, effects, due_at, created_at)
      with recursive n (i) as (select 1 union all select i + 1 from n where i < ${sql.lit(orders)})
      select cast(${`${randomUUID()} `} as text) || cast(n.i as text), ${sql.lit(kind)}, 'todo', cast(${spec} as text), '', '', '', ${sql.lit(needsIdOf(needs))},
        cast(${owner} as text), ${at}, 0, 0, 0, 0, 0, ${at}, ${at} from n`.execute(tx);
  });
}

/** Ends all orders, whatever they are, and forgets the owners and their shares. */
export async function emptyQueue({ database }: TestCompute): Promise<void> {
  await database.write(async (tx) => {
    const ended = { status: 'cancelled', lease_until: null, publish_after: null } as const;
    await tx.updateTable('orders').set(ended).execute();
    await tx.deleteFrom('shares').execute();
    await tx.deleteFrom('owners').execute();
  });
}

/** Adds orders of an owner at once that wait for the model of the order `maker`; returns their ids. */
export async function seedWaiting(
  { database }: Pick<TestCompute, 'database'>,
  maker: string,
  orders: number,
): Promise<string[]> {
  const uplet = aLearnuplet({ rank: 1, model_start: randomUUID() });
  const spec = JSON.stringify({ kind: 'learn', uplet });
  const ids = Array.from({ length: orders }, () => randomUUID());
  await database.write(async (tx) => {
    for (const id of ids) {
      await sql`
        insert into orders (id, kind, status, spec, identity, problem, workflow, model_start, waits_for, owner, turn_at,
          attempt, charged, publishes, events, effects, due_at, created_at)
        values (${id}, 'learn', 'waiting', ${spec}, '', '', '', ${uplet.model_start}, ${maker}, '', ${database.now},
          0, 0, 0, 0, 0, ${database.now}, ${database.now})`.execute(tx);
    }
  });
  return ids;
}

/** Adds a group with orders of these states at once, the oldest first; returns their ids. Nothing is due for any of them. */
export async function seedGroup(
  { database }: Pick<TestCompute, 'database'>,
  { owner, name }: { readonly owner: string; readonly name: string },
  states: readonly OrderStatus[],
): Promise<string[]> {
  const spec = JSON.stringify({ kind: 'learn', uplet: aLearnuplet({ group: name }) });
  const rows = states.map((status) => ({ id: randomUUID(), status }));
  await database.write(async (tx) => {
    await sql`
      insert into order_groups (owner, name, created_at, posted, under_way)
      values (${owner}, ${name}, ${database.now}, ${rows.length}, 0)`.execute(tx);
    for (const [n, { id, status }] of rows.entries()) {
      const ended = hasEnded(status) ? sql`${database.now} - 1000` : null;
      await sql`
        insert into orders (id, kind, status, spec, identity, problem, workflow, owner, group_name, turn_at, attempt, charged,
          publishes, events, effects, due_at, created_at, ended_at)
        values (${id}, 'learn', ${status}, ${spec}, '', '', '', ${owner}, ${name}, ${database.now}, 0, 0,
          0, 0, 0, ${database.now} + 3600000, ${database.now} - 10000 + ${sql.lit(n)}, ${ended})`.execute(tx);
    }
  });
  return rows.map(({ id }) => id);
}
