import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeClient } from '@morpheo/client';
import { type CredentialRole, learnuplet, preduplet } from '@morpheo/common';
import { COMPUTE_DEFAULTS, openComputeService } from '@morpheo/compute-api';
import { startNsqd, withParts } from '@morpheo/real-parts';
import { openNsqBroker } from '@morpheo/service/broker';
import { createCallers, hashSecret } from '@morpheo/service/http';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import { openStorageService } from '@morpheo/storage-api';
import ava from 'ava';
import { PATIENT_TIMES, startForeignWorker } from '../testing/foreign-worker.ts';
import { startOriginalOrchestrator, startOriginalStorage } from '../testing/original-services.ts';

const test = withParts(ava, 'nsq');

const ORDERS = 100;
const USES = { problem: randomUUID(), workflow: randomUUID() };
const [ALGO, TRAIN, TEST, MODEL] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
/** What all orders name, by its path at storage. */
const THINGS = [
  `problem/${USES.workflow}`,
  `algo/${ALGO}`,
  `data/${TRAIN}`,
  `data/${TEST}`,
  `model/${MODEL}`,
];
/** Those who call, each by one name and secret everywhere. */
const SECRET = 'a secret of the tests';
const ROLES: Readonly<Record<string, CredentialRole>> = { go: 'admin', compute: 'compute' };

async function callers() {
  const secretHash = await hashSecret(SECRET);
  return createCallers(Object.entries(ROLES).map(([name, role]) => ({ name, roles: [role], secretHash })));
}

/** Half trainings, half predictions. */
function orders(length: number) {
  return Array.from({ length }, (_, n) => {
    const uplet = { ...USES, uuid: randomUUID(), status: 'todo' };
    if (n % 2 === 1) return preduplet.parse({ ...uplet, model: MODEL, data: TEST });
    const data = { train_data: [TRAIN], test_data: [TEST] };
    return learnuplet.parse({ ...uplet, ...data, algo: ALGO, rank: 0, model_end: randomUUID() });
  });
}

/** A storage-api of ours with what orders name, which lets a worker of the original read it. */
async function openOurStorage(): Promise<{ readonly url: string } & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const dataFolder = await mkdtemp(join(tmpdir(), 'morpheo-foreign-'));
  stack.defer(async () => await rm(dataFolder, { recursive: true }));
  const storage = stack.use(
    await openStorageService({
      ...{ host: '127.0.0.1', port: 0, dataFolder, callers: await callers(), version: '0', log: silentLog },
      settings: { defaultVisibility: 'open' },
    }),
  );
  const headers = { authorization: `Basic ${btoa(`go:${SECRET}`)}`, 'content-type': 'application/gzip' };
  for (const thing of THINGS) {
    const [type, uuid] = thing.split('/');
    const algo = type === 'model' ? `&algo=${ALGO}` : '';
    const url = `${storage.url}/${type}?uuid=${uuid}${algo}`;
    const { status } = await fetch(url, { method: 'POST', headers, body: 'bytes' });
    if (status !== 201) throw new Error(`POST ${url} answered ${status}`);
  }
  const opened = stack.move();
  return { url: storage.url, [Symbol.asyncDispose]: async () => await opened.disposeAsync() };
}

const STORAGES = {
  'our storage-api': openOurStorage,
  "the original's storage-api": async () => await startOriginalStorage(THINGS),
} as const;

for (const [name, openStorage] of Object.entries(STORAGES)) {
  test(`With our compute-api and ${name}, workers of the original lose none of ${ORDERS} orders, and run none twice`, async (t) => {
    await using stack = new AsyncDisposableStack();
    const nsqd = stack.use(await startNsqd());
    const storage = stack.use(await openStorage());
    const orchestrator = stack.use(await startOriginalOrchestrator());
    const folder = await mkdtemp(join(tmpdir(), 'morpheo-foreign-'));
    stack.defer(async () => await rm(folder, { recursive: true }));
    const broker = stack.use(openNsqBroker({ nsqds: [nsqd.tcp], times: PATIENT_TIMES, log: silentLog }));
    const compute = stack.use(
      await openComputeService({
        ...{ host: '127.0.0.1', port: 0, broker, callers: await callers(), anonymousIntake: true },
        database: { engine: 'sqlite', file: join(folder, 'compute.db') },
        storage: { url: storage.url, credentials: { name: 'compute', secret: SECRET } },
        orchestrator: { url: orchestrator.url },
        settings: { ...COMPUTE_DEFAULTS, foreignWorkers: { timeoutMs: 3_600_000 } },
        ...{ version: '0', log: silentLog },
      }),
    );
    const messages: string[] = [];
    for (let n = 0; n < 2; n += 1) {
      const onMessage = (uuid: string): void => void messages.push(uuid);
      const credentials = { name: 'go', secret: SECRET };
      const places = { nsqd: nsqd.tcp, orchestrator: compute.url, storage: storage.url };
      stack.use(await startForeignWorker({ ...places, credentials, onMessage }));
    }
    const api = computeClient({ url: compute.url, credentials: { name: 'go', secret: SECRET } });
    const posted = orders(ORDERS);
    // As the original's orchestrator, which has no credentials for compute-api.
    const { learn, pred } = computeClient({ url: compute.url });
    for (const uplet of posted) await ('algo' in uplet ? learn({ body: uplet }) : pred({ body: uplet }));
    await eventually(t, (again) => again.is(orchestrator.ends.size, ORDERS));
    t.deepEqual((await api.getQueue({})).counts, { done: ORDERS });
    t.is(messages.length, ORDERS);
    t.is(new Set([...messages, ...posted.map(({ uuid }) => uuid)]).size, ORDERS);
    for (const { uuid } of posted) {
      t.is(orchestrator.ends.get(uuid)?.length, 1);
      t.regex(orchestrator.ends.get(uuid)?.[0] ?? '', /"status":"done"/);
    }
    await eventually(t, async (again) => again.is((await fetch(`${compute.url}/ready`)).status, 200));
  });
}

test(`A worker of the original beside an original compute-api loses none of ${ORDERS} orders with our storage-api`, async (t) => {
  await using nsqd = await startNsqd();
  await using storage = await openOurStorage();
  await using orchestrator = await startOriginalOrchestrator();
  await using broker = openNsqBroker({ nsqds: [nsqd.tcp], times: PATIENT_TIMES, log: silentLog });
  const messages: string[] = [];
  await using _worker = await startForeignWorker({
    ...{ nsqd: nsqd.tcp, orchestrator: orchestrator.url, storage: storage.url },
    credentials: { name: 'go', secret: SECRET },
    onMessage: (uuid) => void messages.push(uuid),
  });
  // All that the original's compute-api does with an order.
  const posted = orders(ORDERS);
  for (const uplet of posted)
    await broker.publish('algo' in uplet ? 'train' : 'prediction', JSON.stringify(uplet));
  await eventually(t, (again) => again.is(orchestrator.ends.size, posted.length));
  t.is(messages.length, posted.length);
  for (const { uuid } of posted) {
    t.is(orchestrator.ends.get(uuid)?.length, 1);
    t.regex(orchestrator.ends.get(uuid)?.[0] ?? '', /"status":"done"/);
  }
});
