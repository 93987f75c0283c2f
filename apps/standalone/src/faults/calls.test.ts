import { randomBytes } from 'node:crypto';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeClient, storageClient } from '@morpheo/client';
import type { CallAnswer } from '@morpheo/common';
import { COMPUTE_DEFAULTS, openComputeService } from '@morpheo/compute-api';
import { freePorts, withParts } from '@morpheo/real-parts';
import { openMemoryBroker } from '@morpheo/service/broker';
import type { DatabasePlace } from '@morpheo/service/database';
import { sharedPostgres } from '@morpheo/service/database/testing';
import {
  instanceSigner,
  instanceVerifier,
  ticketKeysOf,
  ticketSigner,
  ticketVerifier,
} from '@morpheo/service/http';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import { openStorageService } from '@morpheo/storage-api';
import ava from 'ava';
import { uploadProgram } from '../scenarios/uploads.ts';
import { WorkerProcess } from '../testing/worker-fixture.ts';

const test = withParts(ava, 'postgres');
const postgres = sharedPostgres(ava);
const keys = ticketKeysOf(randomBytes(32).toString('base64'), 'the key of this test');

/** storage-api, so many compute-apis on one database, and a worker as a process that asks the last of them. */
async function open(computes: 1 | 2) {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await mkdtempDisposable(join(tmpdir(), 'morpheo-calls-')));
  const common = { host: '127.0.0.1', callers: null, version: 'test', log: silentLog };
  const storage = stack.use(
    await openStorageService({
      ...{ ...common, port: 0, dataFolder: join(path, 'storage'), tickets: ticketVerifier(keys) },
    }),
  );
  const database: DatabasePlace =
    computes === 1
      ? { engine: 'sqlite', file: join(path, 'compute.db') }
      : {
          ...{ engine: 'postgres', poolSize: 4 },
          address: stack.use(await (await postgres()).createDatabase()),
        };
  const urls: string[] = [];
  for (const port of await freePorts(computes)) {
    const calls = { ...COMPUTE_DEFAULTS.calls, goneMs: 500, advertiseUrl: `http://127.0.0.1:${port}` };
    const compute = await openComputeService({
      ...{ ...common, port, database, broker: stack.use(openMemoryBroker()) },
      storage: { url: storage.url },
      signTicket: ticketSigner(keys),
      instances: { sign: instanceSigner(keys), verify: instanceVerifier(keys) },
      anonymousIntake: false,
      settings: { ...COMPUTE_DEFAULTS, calls },
    });
    urls.push(stack.use(compute).url);
  }
  const worker = stack.use(
    new WorkerProcess({
      ...{ compute: urls.at(-1) ?? '', storage: storage.url, 'data-dir': join(path, 'worker') },
      ...{ runtime: 'process', 'learn-parallelism': '0', 'predict-parallelism': '0', 'log-level': 'error' },
    }),
  );
  void worker.start();
  const compute = computeClient({ url: urls[0] ?? '' });
  const algo = await uploadProgram(storageClient({ url: storage.url }), 'algo', 'runner-obeys');
  const opened = stack.move();
  return {
    ...{ worker, compute },
    call: async (program: string): Promise<CallAnswer> => {
      const inputs = [{ path: '/in/program', inline: Buffer.from(program).toString('base64') }];
      const answer = await compute.postCall({ headers: {}, body: { algo, inputs } });
      if ('uuid' in answer) throw new Error('It became an order');
      return answer;
    },
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

const ANSWERS = "fs.writeFileSync(outputs + '/answer', 'here');";

test('A call whose worker is killed is lost, and its caller is told at once', async (t) => {
  await using fixture = await open(1);
  await eventually(t, async (is) => is.is((await fixture.call(ANSWERS)).outputs.length, 1));
  const calling = fixture.call('await new Promise(() => setInterval(() => {}, 1000));');
  await eventually(t, async (is) =>
    is.like((await fixture.compute.listRunners({})).items[0], { state: 'busy', calls: 1 }),
  );
  const [error] = await Promise.all([
    t.throwsAsync(calling, { code: 'unavailable', message: /worker/ }),
    fixture.worker.kill(),
  ]);
  t.like(error, { status: 503 });
  fixture.worker.start();
  await eventually(t, async (is) => is.is((await fixture.call(ANSWERS)).reused, 0));
});

test('A call at one compute-api is answered by the runner of a worker that asks at another', async (t) => {
  await using fixture = await open(2);
  await eventually(t, async (is) => is.is((await fixture.call(ANSWERS)).outputs.length, 1));
  const again = await Promise.all([fixture.call(ANSWERS), fixture.call(ANSWERS)]);
  t.true(again.some(({ reused }) => reused > 0));
  await t.throwsAsync(fixture.call("throw new Error('No.')"), { code: 'call_failed', message: 'No.' });
});
