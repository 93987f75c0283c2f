import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import { probesOf } from './check.ts';
import { loadConfig } from './config.ts';
import { openTestService } from './testing/open-test-service.ts';

/** What `--check` finds of storage at an address. */
async function askStorage(url: string): Promise<void> {
  const argv = `--data-dir x --storage ${url} --storage-user us --storage-password secret --insecure-open`;
  const loaded = loadConfig(argv.split(' '), {});
  if (loaded.kind !== 'settings') throw new Error('these are settings');
  const probes = new Map(Object.entries(probesOf(loaded.values)));
  await probes.get('storage')?.ask(AbortSignal.timeout(30_000));
}

test('--check tells what answers in the place of storage-api: a server of others, or another service of ours', async (t) => {
  const original = createServer((_, response) => response.writeHead(404).end('{"error":"not found"}'));
  await once(original.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => original.close());
  const { port } = original.address() as AddressInfo;
  await t.throwsAsync(askStorage(`http://127.0.0.1:${port}`), {
    message: /answers something that is no service of Morpheo Compute, and not the Morpheo storage API/,
  });
  await using compute = await openTestService();
  await t.throwsAsync(askStorage(compute.url), {
    message: /answers the Morpheo compute API, and not the Morpheo storage API/,
  });
});
