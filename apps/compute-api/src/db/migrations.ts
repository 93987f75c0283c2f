import type { Migrations } from '@morpheo/service/database';
import { type ColumnDefinitionBuilder, sql } from 'kysely';
import { fillScores } from './fill-scores.ts';

/** The schema's history. A step that was released never changes; what comes next is a step of its own. */
export const migrations: Migrations = {
  '001-orders': async (schema) => {
    await schema.schema
      .createTable('orders')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('kind', 'text', (column) => column.notNull())
      .addColumn('status', 'text', (column) => column.notNull())
      .addColumn('spec', 'text', (column) => column.notNull())
      .addColumn('identity', 'text', (column) => column.notNull())
      .addColumn('problem', 'text', (column) => column.notNull())
      .addColumn('workflow', 'text', (column) => column.notNull())
      .addColumn('algo', 'text')
      .addColumn('model', 'text')
      .addColumn('model_start', 'text')
      .addColumn('model_end', 'text')
      .addColumn('attempt', 'integer', (column) => column.notNull())
      .addColumn('charged', 'integer', (column) => column.notNull())
      .addColumn('worker', 'text')
      .addColumn('boot', 'text')
      .addColumn('lease_until', 'bigint')
      .addColumn('due_at', 'bigint', (column) => column.notNull())
      .addColumn('publish_after', 'bigint')
      .addColumn('publishes', 'integer', (column) => column.notNull())
      .addColumn('waits_for', 'text')
      .addColumn('result', 'text')
      .addColumn('failure', 'text')
      .addColumn('events', 'integer', (column) => column.notNull())
      .addColumn('effects', 'integer', (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('started_at', 'bigint')
      .addColumn('ended_at', 'bigint')
      .execute();
    for (const [name, columns] of Object.entries({
      orders_newest: ['created_at', 'id'],
      orders_status: ['status', 'created_at', 'id'],
      orders_queue: ['status', 'kind', 'created_at', 'id'],
      orders_problem: ['problem', 'created_at', 'id'],
      orders_algo: ['algo', 'created_at', 'id'],
      orders_model_end: ['model_end'],
      orders_waits_for: ['waits_for'],
      orders_lease: ['lease_until'],
      orders_publish: ['status', 'publish_after'],
      orders_worker: ['worker', 'status'],
    })) {
      await schema.schema.createIndex(name).on('orders').columns(columns).execute();
    }
  },

  '002-attempts': async (schema) => {
    await schema.schema
      .createTable('attempts')
      .addColumn('order_id', 'text', (column) => column.notNull().references('orders.id'))
      .addColumn('attempt', 'integer', (column) => column.notNull())
      .addColumn('worker', 'text', (column) => column.notNull())
      .addColumn('boot', 'text', (column) => column.notNull())
      .addColumn('started_at', 'bigint', (column) => column.notNull())
      .addColumn('ended_at', 'bigint')
      .addColumn('outcome', 'text')
      .addColumn('failure', 'text')
      .addColumn('report', 'text')
      .addColumn('log_bytes', 'integer', (column) => column.notNull())
      .addPrimaryKeyConstraint('attempts_key', ['order_id', 'attempt'])
      .execute();
    await schema.schema
      .createTable('events')
      .addColumn('order_id', 'text', (column) => column.notNull().references('orders.id'))
      .addColumn('n', 'integer', (column) => column.notNull())
      .addColumn('at', 'bigint', (column) => column.notNull())
      .addColumn('attempt', 'integer', (column) => column.notNull())
      .addColumn('what', 'text', (column) => column.notNull())
      .addColumn('status', 'text', (column) => column.notNull())
      .addColumn('details', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('events_key', ['order_id', 'n'])
      .execute();
    await schema.schema
      .createTable('logs')
      .addColumn('order_id', 'text', (column) => column.notNull().references('orders.id'))
      .addColumn('attempt', 'integer', (column) => column.notNull())
      .addColumn('seq', 'integer', (column) => column.notNull())
      .addColumn('at', 'bigint', (column) => column.notNull())
      .addColumn('step', 'text', (column) => column.notNull())
      .addColumn('stream', 'text', (column) => column.notNull())
      .addColumn('text', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('logs_key', ['order_id', 'attempt', 'seq'])
      .execute();
  },

  '003-effects-and-workers': async (schema) => {
    await schema.schema
      .createTable('outbox')
      .addColumn('order_id', 'text', (column) => column.notNull().references('orders.id'))
      .addColumn('n', 'integer', (column) => column.notNull())
      .addColumn('lane', 'text', (column) => column.notNull())
      .addColumn('effect', 'text', (column) => column.notNull())
      .addColumn('due_at', 'bigint', (column) => column.notNull())
      .addColumn('tries', 'integer', (column) => column.notNull())
      .addColumn('last_error', 'text')
      .addPrimaryKeyConstraint('outbox_key', ['order_id', 'n'])
      .execute();
    await schema.schema.createIndex('outbox_due').on('outbox').column('due_at').execute();
    await schema.schema
      .createTable('workers')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('boot', 'text', (column) => column.notNull())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('runtime', 'text', (column) => column.notNull())
      .addColumn('learn_slots', 'integer', (column) => column.notNull())
      .addColumn('predict_slots', 'integer', (column) => column.notNull())
      .addColumn('seen_at', 'bigint', (column) => column.notNull())
      .execute();
    await schema.schema
      .createTable('switches')
      .addColumn('name', 'text', (column) => column.primaryKey())
      .addColumn('value', 'integer', (column) => column.notNull())
      .execute();
  },

  '004-gpus': async (schema) => {
    const whole = (column: ColumnDefinitionBuilder) => column.notNull().defaultTo(0);
    await schema.schema.alterTable('orders').addColumn('gpus', 'integer', whole).execute();
    await schema.schema.alterTable('orders').addColumn('gpus_kept_by', 'text').execute();
    // Orders with and without GPUs have a queue each: many that wait for some are not in the way of the others.
    await schema.schema.alterTable('orders').addColumn('asks_gpus', 'integer', whole).execute();
    await schema.schema.dropIndex('orders_queue').execute();
    await schema.schema
      .createIndex('orders_due')
      .on('orders')
      .columns(['status', 'asks_gpus', 'created_at', 'id', 'kind', 'due_at', 'gpus', 'gpus_kept_by'])
      .execute();
    await schema.schema.alterTable('workers').addColumn('gpu_total', 'integer', whole).execute();
    await schema.schema
      .alterTable('workers')
      .addColumn('gpu_slots', 'integer', (column) => column.notNull().defaultTo(1))
      .execute();
    await schema.schema
      .alterTable('workers')
      .addColumn('gpus', 'text', (column) => column.notNull().defaultTo('[]'))
      .execute();
    await schema.schema
      .createTable('problem_defaults')
      .addColumn('problem', 'text', (column) => column.primaryKey())
      .addColumn('gpus', 'integer', (column) => column.notNull())
      .execute();
  },

  '005-traces': async (schema) => {
    await schema.schema.alterTable('orders').addColumn('trace', 'text').execute();
    await schema.schema.alterTable('outbox').addColumn('created_at', 'bigint').execute();
  },
  '006-fair-share': async (schema) => {
    await schema.schema
      .alterTable('orders')
      .addColumn('owner', 'text', (column) => column.notNull().defaultTo(''))
      .execute();
    await schema.schema
      .alterTable('orders')
      .addColumn('priority', 'integer', (column) => column.notNull().defaultTo(0))
      .execute();
    await schema.schema
      .alterTable('orders')
      .addColumn('turn_at', 'bigint', (column) => column.notNull().defaultTo(0))
      .execute();
    await sql`update orders set turn_at = created_at`.execute(schema);
    await schema.schema
      .createTable('owners')
      .addColumn('owner', 'text', (column) => column.primaryKey())
      .addColumn('weight', 'integer', (column) => column.notNull())
      .execute();
    await schema.schema
      .createTable('shares')
      .addColumn('kind', 'text', (column) => column.notNull())
      .addColumn('owner', 'text', (column) => column.notNull())
      .addColumn('start_tag', 'bigint', (column) => column.notNull())
      .addColumn('finish_tag', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('shares_key', ['kind', 'owner'])
      .execute();
    for (const [name, table, columns] of [
      ['shares_start', 'shares', ['kind', 'start_tag']],
      ['shares_finish', 'shares', ['kind', 'finish_tag']],
      ['orders_owner', 'orders', ['owner', 'created_at', 'id']],
      ['orders_turn', 'orders', ['status', 'kind', 'asks_gpus', 'owner', 'turn_at', 'id', 'due_at', 'gpus']],
    ] as const) {
      await schema.schema
        .createIndex(name)
        .on(table)
        .columns([...columns])
        .execute();
    }
    // The oldest first, whoever owns them, are now asked for of those alone that wait for GPUs.
    await schema.schema.dropIndex('orders_due').execute();
    for (const index of [
      sql`create index orders_gpus on orders (status, created_at, id, kind, due_at, gpus, gpus_kept_by) where asks_gpus = 1`,
      sql`create index orders_kept on orders (gpus_kept_by) where gpus_kept_by is not null`,
      sql`create index orders_done on orders (kind, ended_at) where status = 'done'`,
    ]) {
      await index.execute(schema);
    }
  },
  '007-quarantine': async (schema) => {
    const whole = (column: ColumnDefinitionBuilder) => column.notNull().defaultTo(0);
    await schema.schema.alterTable('orders').addColumn('lost_beside', 'integer', whole).execute();
    await schema.schema.alterTable('orders').addColumn('alone', 'integer', whole).execute();
    await schema.schema.alterTable('orders').addColumn('alone_on', 'text').execute();
    for (const index of [
      sql`create index orders_alone on orders (alone_on) where alone = 1`,
      sql`create index attempts_lost on attempts (worker, ended_at) where outcome = 'lost'`,
    ]) {
      await index.execute(schema);
    }
  },
  '008-pins': async (schema) => {
    await schema.schema
      .alterTable('orders')
      .addColumn('round', 'integer', (column) => column.notNull().defaultTo(1))
      .execute();
    await schema.schema.alterTable('orders').addColumn('pin', 'text').execute();
    const now = sql.lit(Date.now());
    // What is due is checked before it may start. What runs goes on, and is checked meanwhile.
    const open = sql`waits_for is null and (status = 'todo' or lease_until is not null)`;
    await sql`
      insert into outbox (order_id, n, lane, effect, due_at, created_at, tries)
      select id, effects + 1, 'storage', '{"do":"pin_order"}', ${now}, ${now}, 0
      from orders where ${open}`.execute(schema);
    await sql`update orders set effects = effects + 1 where ${open}`.execute(schema);
    await sql`
      insert into events (order_id, n, at, attempt, what, status, details)
      select id, events + 1, ${now}, attempt, 'retried', 'waiting', '{"by":"the upgrade to a platform that checks orders"}'
      from orders where status = 'todo'`.execute(schema);
    await sql`update orders set status = 'waiting', events = events + 1, publish_after = null where status = 'todo'`.execute(
      schema,
    );
  },
  '009-samples': async (schema) => {
    await schema.schema.alterTable('orders').addColumn('sample_of', 'text').execute();
    await sql`create index orders_sample_of on orders (sample_of) where sample_of is not null`.execute(
      schema,
    );
    await schema.schema
      .createTable('samples')
      .addColumn('algo', 'text', (column) => column.primaryKey())
      .addColumn('placed_at', 'bigint', (column) => column.notNull())
      .execute();
  },
  '010-workers-callers': async (schema) => {
    await schema.schema.alterTable('workers').addColumn('caller', 'text').execute();
  },
  '011-foreign-messages': async (schema) => {
    await schema.schema
      .createTable('foreign_messages')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('order_id', 'text', (column) => column.notNull())
      .execute();
  },
  '012-settle-waiting': async (schema) => {
    // By the maker alone SQLite would not find those that wait: it reads all orders of their status instead.
    await schema.schema.dropIndex('orders_waits_for').execute();
    for (const index of [
      sql`create index orders_waits_for on orders (waits_for, status, id) where waits_for is not null`,
      sql`create index outbox_orders on outbox (due_at) where lane = 'orders'`,
    ]) {
      await index.execute(schema);
    }
  },
  '013-groups': async (schema) => {
    const whole = (column: ColumnDefinitionBuilder) => column.notNull().defaultTo(0);
    await schema.schema.alterTable('orders').addColumn('group_name', 'text').execute();
    await schema.schema.alterTable('orders').addColumn('score', 'double precision').execute();
    await schema.schema.alterTable('orders').addColumn('reason', 'text').execute();
    await schema.schema
      .createTable('order_groups')
      .addColumn('owner', 'text', (column) => column.notNull())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('posted', 'integer', whole)
      .addColumn('asked', 'text')
      .addColumn('asked_by', 'text')
      .addColumn('asked_at', 'bigint')
      .addColumn('under_way', 'integer', whole)
      .addPrimaryKeyConstraint('order_groups_key', ['owner', 'name'])
      .execute();
    for (const index of [
      // All that is asked of a group as a whole is in it, so that no order is read for that.
      sql`create index orders_group on orders
        (owner, group_name, created_at, id, status, ended_at, reason, workflow, score) where group_name is not null`,
      sql`create index order_groups_newest on order_groups (owner, created_at, name)`,
      sql`create index order_groups_under_way on order_groups (asked_at) where under_way = 1`,
    ]) {
      await index.execute(schema);
    }
  },
  '014-retention': async (schema) => {
    await fillScores(schema);
    await schema.schema
      .createTable('removed_orders')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('identity', 'text', (column) => column.notNull())
      .addColumn('removed_at', 'bigint', (column) => column.notNull())
      .execute();
    await schema.schema
      .createTable('retention_positions')
      .addColumn('name', 'text', (column) => column.primaryKey())
      .addColumn('ended_at', 'bigint', (column) => column.notNull())
      .addColumn('id', 'text', (column) => column.notNull())
      .execute();
    for (const index of [
      sql`create index order_groups_age on order_groups (created_at)`,
      sql`create index removed_orders_age on removed_orders (removed_at)`,
      sql`create index orders_ended on orders (ended_at, id) where ended_at is not null`,
      sql`create index orders_best on orders (workflow, score desc, created_at, id)
        where score is not null and sample_of is null`,
      // What names a model is looked for when the order that made it is old.
      sql`create index orders_model_start on orders (model_start) where model_start is not null`,
      sql`create index orders_model on orders (model) where model is not null`,
      sql`create index foreign_messages_order on foreign_messages (order_id)`,
    ]) {
      await index.execute(schema);
    }
  },
  '015-needs-and-offers': async (schema) => {
    await schema.schema
      .alterTable('orders')
      .addColumn('needs', 'text', (column) => column.notNull().defaultTo(''))
      .execute();
    for (const [table, of] of [
      ['need_terms', 'id'],
      ['offers', 'worker'],
    ] as const) {
      await schema.schema
        .createTable(table)
        .addColumn(of, 'text', (column) => column.notNull())
        .addColumn('term', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint(`${table}_key`, [of, 'term'])
        .execute();
    }
    // What workers of before have said of themselves.
    await sql`insert into offers (worker, term) select id, 'runtime=' || runtime from workers
      where runtime in ('docker', 'process')`.execute(schema);
    await schema.schema
      .alterTable('shares')
      .addColumn('elsewhere', 'integer', (column) => column.notNull().defaultTo(0))
      .execute();
    // Orders of different needs have a queue each: many that no worker can run are not in the way of the others.
    await schema.schema.dropIndex('orders_turn').execute();
    await schema.schema.dropIndex('orders_gpus').execute();
    for (const index of [
      sql`create index orders_turn on orders (status, kind, needs, asks_gpus, owner, turn_at, id, due_at, gpus)`,
      sql`create index orders_gpus on orders (status, needs, created_at, id, kind, due_at, gpus, gpus_kept_by) where asks_gpus = 1`,
      sql`create index orders_needs on orders (owner, needs) where needs <> '' and status in ('waiting', 'todo', 'pending')`,
    ]) {
      await index.execute(schema);
    }
  },
  '016-open-orders': async (schema) => {
    await sql`create index orders_open on orders (owner, status) where status in ('waiting', 'todo', 'pending')`.execute(
      schema,
    );
  },
  '017-jobs': async (schema) => {
    await schema.schema
      .alterTable('workers')
      .addColumn('job_slots', 'integer', (column) => column.notNull().defaultTo(0))
      .execute();
  },
  '018-metrics-and-labels': async (schema) => {
    await schema.schema
      .alterTable('attempts')
      .addColumn('metrics', 'integer', (column) => column.notNull().defaultTo(0))
      .execute();
    for (const [table, of] of [
      ['order_labels', 'label'],
      ['order_inputs', 'output'],
    ] as const) {
      await schema.schema
        .createTable(table)
        .addColumn(of, 'text', (column) => column.notNull())
        .addColumn('order_id', 'text', (column) => column.notNull().references('orders.id'))
        .addPrimaryKeyConstraint(`${table}_key`, [of, 'order_id'])
        .execute();
      await schema.schema.createIndex(`${table}_order`).on(table).column('order_id').execute();
    }
  },
  '019-numbered-events': async (schema) => {
    await schema.schema
      .alterTable('attempts')
      .addColumn('noted', 'integer', (column) => column.notNull().defaultTo(0))
      .execute();
  },
  '020-lists': async (schema) => {
    // What a list is narrowed to stands before the time; a state, which changes, only where orders are few.
    for (const former of ['orders_status', 'orders_problem', 'orders_algo', 'orders_owner', 'orders_open'])
      await schema.schema.dropIndex(former).execute();
    for (const index of [
      sql`create index orders_list on orders (status, kind, created_at, id)`,
      sql`create index orders_problem on orders (problem, kind, created_at, id)`,
      sql`create index orders_algo on orders (algo, kind, created_at, id)`,
      sql`create index orders_owner on orders (owner, kind, created_at, id)`,
      sql`create index orders_open on orders (owner, status, created_at, id) where status in ('waiting', 'todo', 'pending')`,
      sql`create index orders_problem_unsuccessful on orders (problem, status, created_at, id) where status in ('failed', 'cancelled')`,
      sql`create index orders_algo_unsuccessful on orders (algo, status, created_at, id) where status in ('failed', 'cancelled')`,
      sql`create index orders_owner_unsuccessful on orders (owner, status, created_at, id) where status in ('failed', 'cancelled')`,
    ]) {
      await index.execute(schema);
    }
  },
  '021-partial-indexes': async (schema) => {
    // Each holds the rows alone that somebody looks for by it: a new order is in as few as can be. What all its rows have in
    // common is none of its columns: PostgreSQL leaves out the condition on that, and would look through all of them.
    for (const [name, columns, rows] of [
      ['orders_lease', 'lease_until', 'lease_until is not null'],
      ['orders_worker', 'worker, status', 'worker is not null'],
      ['orders_publish', 'status, publish_after', 'publish_after is not null'],
      ['orders_model_end', 'model_end', 'model_end is not null'],
      ['orders_turn', 'kind, needs, asks_gpus, owner, turn_at, id, due_at, gpus', "status = 'todo'"],
    ] as const) {
      await schema.schema.dropIndex(name).execute();
      await sql`create index ${sql.ref(name)} on orders (${sql.raw(columns)}) where ${sql.raw(rows)}`.execute(
        schema,
      );
    }
  },
  '022-runners': async (schema) => {
    await schema.schema
      .createTable('worker_runners')
      .addColumn('worker', 'text', (column) => column.primaryKey())
      .addColumn('boot', 'text', (column) => column.notNull())
      .addColumn('at', 'bigint', (column) => column.notNull())
      .addColumn('runners', 'text', (column) => column.notNull())
      .execute();
  },
  '023-searches': async (schema) => {
    await schema.schema
      .createTable('searches')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('owner', 'text', (column) => column.notNull())
      .addColumn('spec', 'text', (column) => column.notNull())
      .addColumn('identity', 'text', (column) => column.notNull())
      .addColumn('status', 'text', (column) => column.notNull())
      .addColumn('why', 'text')
      .addColumn('told', 'integer', (column) => column.notNull())
      .addColumn('placed', 'integer', (column) => column.notNull())
      .addColumn('best', 'integer')
      .addColumn('control_best', 'integer')
      .addColumn('due_at', 'bigint')
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('ended_at', 'bigint')
      .execute();
    await schema.schema
      .createTable('search_trials')
      .addColumn('search_id', 'text', (column) => column.notNull().references('searches.id'))
      .addColumn('number', 'integer', (column) => column.notNull())
      .addColumn('arm', 'text', (column) => column.notNull())
      .addColumn('parameters', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('search_trials_key', ['search_id', 'number'])
      .execute();
    await schema.schema
      .createTable('search_runs')
      .addColumn('search_id', 'text', (column) => column.notNull().references('searches.id'))
      .addColumn('n', 'integer', (column) => column.notNull())
      .addColumn('trial', 'integer', (column) => column.notNull())
      .addColumn('resource', 'integer', (column) => column.notNull())
      // Its order may be removed because of its age before the search is.
      .addColumn('order_id', 'text', (column) => column.notNull())
      .addColumn('output', 'text', (column) => column.notNull())
      .addColumn('after', 'integer', (column) => column.notNull())
      .addColumn('placed_at', 'bigint', (column) => column.notNull())
      .addColumn('open', 'integer', (column) => column.notNull())
      .addColumn('told', 'integer')
      .addColumn('value', 'double precision')
      .addColumn('failed', 'text')
      .addColumn('seconds', 'double precision')
      .addPrimaryKeyConstraint('search_runs_key', ['search_id', 'n'])
      .execute();
    for (const index of [
      sql`create index searches_owner on searches (owner, created_at, id)`,
      sql`create index searches_running on searches (owner) where status = 'running'`,
      sql`create index searches_due on searches (due_at) where due_at is not null`,
      // Of the open ones alone, which are few: whose orders have ended is looked for again and again.
      sql`create index search_runs_open on search_runs (search_id, order_id) where open = 1`,
    ]) {
      await index.execute(schema);
    }
  },
  '024-dedicated-workers': async (schema) => {
    await schema.schema
      .alterTable('offers')
      .addColumn('demanded', 'integer', (column) => column.notNull().defaultTo(0))
      .execute();
  },
};
