import { readiness } from '@morpheo/common';
import test from 'ava';
import { temporaryFolder } from './archive/testing.ts';
import { start } from './start.ts';

/** Nobody listens at this port. */
const NOWHERE = 'http://127.0.0.1:9';

test('A worker whose services are away lives and is not ready', async (t) => {
  await using folder = await temporaryFolder();
  const places = ['--data-dir', folder.path, '--compute', NOWHERE, '--storage', NOWHERE, '--port', '0'];
  await using service = await start([...places, '--runtime', 'process', '--log-level', 'error'], {});
  const url = String(service?.ready?.url);
  t.is((await fetch(`${url}/health`)).status, 200);
  const answer = await fetch(`${url}/ready`);
  t.is(answer.status, 503);
  const { dependencies } = readiness.parse(await answer.json());
  const ok = Object.fromEntries(dependencies.map((dependency) => [dependency.name, dependency.ok]));
  t.deepEqual(ok, { 'compute-api': false, 'storage-api': false, runtime: true });
  await service?.drain();
});

test('A worker without settings does not start', async (t) => {
  await t.throwsAsync(start([], {}), { code: 'invalid_request' });
});
