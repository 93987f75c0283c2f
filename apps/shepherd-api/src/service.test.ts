import { mkdtempDisposable } from 'node:fs/promises';
import { join } from 'node:path';
import { quickFolder } from '@morpheo/real-parts';
import test from 'ava';
import { start } from './start.ts';

test('It starts on a folder, and is well', async (t) => {
  await using folder = await mkdtempDisposable(join(quickFolder(), 'shepherd-'));
  const peers = ['--compute', 'http://127.0.0.1:1', '--storage', 'http://127.0.0.1:1'];
  await using service = await start(
    ['--log-level', 'error', '--port', '0', '--data-dir', folder.path, ...peers],
    {},
  );
  const url = String(service?.ready?.url);
  t.is((await fetch(`${url}/health`)).status, 200);
  t.deepEqual(await (await fetch(`${url}/status`)).json(), { sheep: {}, containers: {} });
});
