import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storageClient } from '@morpheo/client';
import { freePorts } from '@morpheo/real-parts';
import test from 'ava';
import type { Connection } from '../connection.ts';
import { start } from '../start.ts';
import { uploadEcho } from './testing/echo.ts';

test('The platform of one machine has Shepherd’s API too, says where, and keeps buckets in folders', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'morpheo-shepherd-'));
  t.teardown(async () => await rm(home, { recursive: true }));
  const [port = 0] = await freePorts(1);
  const ports = ['--storage-port', '0', '--compute-port', '0', '--orchestrator-port', '0'];
  const flags = [
    '--home',
    home,
    ...ports,
    '--shepherd',
    '--shepherd-port',
    String(port),
    '--log-level',
    'error',
  ];
  await using platform = await start(flags, { MORPHEO_SHEPHERD_PROTOCOL: 'runner' });
  const url = `http://127.0.0.1:${port}`;
  t.like(platform?.ready, { shepherd: url });
  const connection = JSON.parse(await readFile(join(home, 'connection.json'), 'utf8')) as Connection;
  t.is(connection.shepherd, url);

  const { storage, credentials } = connection;
  const model = { name: await uploadEcho(storageClient({ url: storage, credentials })) };
  const body = JSON.stringify({ job_id: 'job-1', model, payload: '{"input":"ä"}' });
  const headers = { 'content-type': 'application/json' };
  const started = await fetch(`${url}/start-job`, { method: 'POST', headers, body });
  t.is(started.status, 200);
  const ready = await (await fetch(`${url}/jobs/job-1/wait_ready`)).json();
  t.like(ready, { status: 'done' });
  const bucket = join(home, 'shepherd/buckets/job-1');
  t.is(await readFile(join(bucket, 'outputs/output'), 'utf8'), '{"result":"ä"}');
  t.deepEqual(JSON.parse(await readFile(join(bucket, 'job_status.json'), 'utf8')), ready);
});
