import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeClient } from '@morpheo/client';
import { TRAINER_LABELS } from '@morpheo/common';
import test from 'ava';
import type { Connection } from '../connection.ts';
import { start } from '../start.ts';

const PORTS = ['storage', 'compute', 'orchestrator', 'dicebox', 'classification'];

test('The platform of one machine has dicebox too, with its key, and a worker for what needs the trainer alone', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'morpheo-dicebox-'));
  t.teardown(async () => await rm(home, { recursive: true }));
  const ports = PORTS.map((name) => `--${name}-port=0`);
  const flags = [`--home=${home}`, ...ports, '--dicebox', `--trainer=${home}`, '--log-level=error'];
  await using platform = await start(flags, { MORPHEO_DICEBOX_API_VERSION: '0.4.0' });
  const connection = JSON.parse(await readFile(join(home, 'connection.json'), 'utf8')) as Connection;
  const { dicebox = '', classification = '', api_key: key = '', compute, credentials } = connection;
  t.like(platform?.ready, { dicebox, classification });
  t.false(JSON.stringify(platform?.ready).includes(key));

  const headers = { 'API-ACCESS-KEY': key, 'API-VERSION': '0.4.0' };
  const ask = async (url: string, more: Record<string, string> = {}) =>
    await fetch(url, { headers: { ...headers, ...more } });
  t.deepEqual(await (await ask(`${dicebox}/api/version`)).json(), {
    version: '0.1.0',
    'dicebox lib version': '0.4.0',
  });
  t.deepEqual(await (await ask(`${classification}/api/version`)).json(), { version: '0.4.0' });
  t.is((await ask(`${dicebox}/api/train/request`, { 'API-ACCESS-KEY': 'x' })).status, 403);
  t.is((await ask(`${dicebox}/api/category`)).status, 404);
  t.not((await ask(`${classification}/api/category`)).status, 404);
  const networks = `${classification}/v1/networks`;
  t.is((await ask(networks, { authorization: `Bearer ${key}` })).status, 200);
  t.is((await ask(networks, { authorization: 'Bearer x' })).status, 401);
  const page = await fetch(classification);
  t.true(page.headers.get('content-security-policy')?.includes(`connect-src 'self' ${dicebox};`));
  const admin = { 'API-ACCESS-KEY': `admin.${credentials.secret}` };
  t.not((await ask(`${classification}/api/category`, admin)).status, 403);

  const set = { name: 'empty', width: 8, height: 8 };
  const authorization = `Bearer admin.${credentials.secret}`;
  const json = { authorization, 'content-type': 'application/json' };
  await fetch(`${dicebox}/v1/picture-sets`, { method: 'POST', headers: json, body: JSON.stringify(set) });
  t.is(
    (await ask(`${dicebox}/api/sensory/category?name=empty&width=8&height=8`)).status,
    200,
    'the key is of who runs the platform',
  );

  const { items } = await computeClient({ url: compute, credentials }).listWorkers({ query: {} });
  const trainer = items.find(({ name }) => name === 'trainer');
  t.like(trainer, { labels: TRAINER_LABELS, dedicated: ['trainer'] });
  t.is(items.length, 2);
});

test('A folder of the trainer that is not there is told at the start', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'morpheo-dicebox-'));
  t.teardown(async () => await rm(home, { recursive: true }));
  const ports = PORTS.map((name) => `--${name}-port=0`);
  const flags = [`--home=${home}`, ...ports, '--dicebox', '--trainer=/nowhere', '--log-level=error'];
  await t.throwsAsync(start(flags, {}), { message: /--programs: \/nowhere is no folder/ });
});
