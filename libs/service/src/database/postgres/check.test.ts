import { withParts } from '@morpheo/real-parts';
import ava from 'ava';
import { checkDatabase, type Migrations } from '../index.ts';
import { sharedPostgres } from '../testing/engines.ts';
import { openPostgres } from './index.ts';

const test = withParts(ava, 'postgres');
const server = sharedPostgres(ava);

const migrations: Migrations = {
  '001-first': async (schema) =>
    void (await schema.schema.createTable('a').addColumn('id', 'text').execute()),
};

test('A look at a server tells which steps are due, and does none', async (t) => {
  const real = await server();
  await using address = await real.createDatabase();
  const look = async (known: Migrations = migrations) =>
    await checkDatabase({ engine: 'postgres', address }, { owner: 'demo', migrations: known });
  t.regex(await look(), /^PostgreSQL at .*, 1 step of the schema to be done at the next start$/);
  t.regex(await look(), /1 step of the schema to be done/, 'the first look has done nothing');
  await (await openPostgres({ address, owner: 'demo', migrations }))[Symbol.asyncDispose]();
  t.regex(await look(), /schema up to date$/);
  await t.throwsAsync(look({}), { code: 'wrong_state', message: /001-first/ });
});

test('A server that is away is named in a look', async (t) => {
  const { target } = await server();
  const place = { engine: 'postgres', address: { ...target, port: 1 } } as const;
  await t.throwsAsync(checkDatabase(place, { owner: 'demo', migrations }), {
    code: 'unavailable',
    message: /:1/,
  });
});
