import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { start } from './start.ts';

test('The stand-in orchestrator starts by itself and knows its callers', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-orchestrator-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const credentials = join(folder, 'credentials.json');
  await writeFile(credentials, '[]');
  const callee = ['--compute', 'http://127.0.0.1:9', '--compute-user', 'me', '--compute-password', 'word'];
  const own = ['--port', '0', '--data-dir', folder, '--credentials', credentials, '--log-level', 'error'];
  await using service = await start([...own, ...callee], {});
  const url = String(service?.ready?.url);
  t.is((await fetch(`${url}/health`)).status, 200);
  t.is((await fetch(`${url}/problem`)).status, 401);
});

test('Without a compute-api to post to it does not start', async (t) => {
  await t.throwsAsync(start(['--data-dir', '/x'], {}), { code: 'invalid_request', message: /--compute / });
});
