import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempDisposable, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { computeClient } from '@morpheo/client';
import { preduplet } from '@morpheo/common';
import { openDummyRuntime, startWorker, takeIdentity } from '@morpheo/compute-worker';
import { rawTarGz } from '@morpheo/service/archive/testing';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { type Connection, type Platform, startPlatform } from '../index.ts';
import { uploadData, uploadModel, uploadThing } from '../scenarios/uploads.ts';
import { readOrMakeSecrets } from '../secrets.ts';

const CLI = fileURLToPath(new URL('../../../cli/src/main.ts', import.meta.url));
const FREE_PORTS = ['storage', 'compute', 'orchestrator'].flatMap((part) => [`--${part}-port`, '0']);

test('A platform whose worker was superseded says that it is not ready, starts it again, and is ready', async (t) => {
  t.timeout(300_000);
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-whole-'));
  const [mayStart, startsAgain] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let starts = 0;
  // The second worker waits for the test, so that the time without one is seen however fast it would start.
  const openRuntime = async () => {
    starts += 1;
    if (starts > 1) {
      startsAgain.resolve();
      await mayStart.promise;
    }
    return openDummyRuntime();
  };
  await using platform = await startPlatform({ folder: folder.path, openRuntime, log: silentLog });
  const ready = async () => (await fetch(`${platform.connection.compute}/ready`)).status;
  await eventually(t, async (t) => t.is(await ready(), 200));
  const [worker] = (await platform.compute.listWorkers({})).items;
  const boot = randomUUID();
  const body = { boot, name: 'another', runtime: 'process', slots: { learn: 1, predict: 1 } };
  // Its own credentials: a worker belongs to the caller who registered it.
  const credentials = { name: 'worker', secret: (await readOrMakeSecrets(folder.path)).worker };
  const another = computeClient({ url: platform.connection.compute, credentials });
  await another.registerWorker({ params: { worker: worker?.id ?? '' }, body });
  await startsAgain.promise;
  t.is(await ready(), 503);
  mayStart.resolve();
  await eventually(t, async (t) => t.is(await ready(), 200));
  const [again] = (await platform.compute.listWorkers({})).items;
  t.like(again, { name: 'standalone', alive: true });
  t.not(again?.id, worker?.id, 'an id that was taken over is given up');
});

test('A worker on the copy of a disk whose worker lives stops, and costs its order no attempt', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-whole-'));
  const runtime = openDummyRuntime({ script: { predict: { sleep_ms: 600_000 } } });
  const openRuntime = async () => runtime;
  const compute = { renewMs: 100, leaseMs: 600_000 };
  await using platform = await startPlatform({ folder: folder.path, openRuntime, compute, log: silentLog });
  const body = preduplet.parse({
    ...{ uuid: randomUUID(), problem: randomUUID(), workflow: randomUUID(), status: 'todo' },
    ...(await uploadInputs(platform)),
  });
  await platform.compute.pred({ body });
  const order = async () => await platform.compute.getOrder({ params: { id: body.uuid } });
  await eventually(t, (t) => t.true(runtime.calls.some(({ step }) => step === 'predict')));

  const [worker] = (await platform.compute.listWorkers({})).items;
  const credentials = { name: 'worker', secret: (await readOrMakeSecrets(folder.path)).worker };
  await using home = await mkdtempDisposable(join(tmpdir(), 'morpheo-whole-'));
  await using identity = await takeIdentity(home.path);
  const givenUp: string[] = [];
  await using copy = await startWorker({
    compute: computeClient({ url: platform.connection.compute, credentials }),
    openStorage: () => platform.storage,
    runtime: openDummyRuntime(),
    identity: { ...identity, id: worker?.id ?? '', moved: true, giveUp: async () => void givenUp.push('id') },
    ...{ folder: home.path, name: 'copy', slots: { learn: 1, predict: 1 }, log: silentLog },
  });
  await t.throwsAsync(copy.stopped, { code: 'conflict' });
  t.is(givenUp.length, 1, 'its next start gets another id');
  t.like(await order(), { status: 'pending', attempt: 1 });
  t.like((await platform.compute.listWorkers({})).items, [
    { id: worker?.id, name: 'standalone', alive: true },
  ]);
});

test('A platform whose "morpheo up" is killed stops by itself', async (t) => {
  t.timeout(300_000);
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-whole-'));
  const up = spawn(process.execPath, [CLI, 'up', '--home', folder.path, ...FREE_PORTS], { stdio: 'ignore' });
  const file = join(folder.path, 'connection.json');
  const connection = async () => JSON.parse(await readFile(file, 'utf8')) as Connection;
  await eventually(t, async (t) => t.is((await fetch(`${(await connection()).compute}/health`)).status, 200));
  const { compute } = await connection();
  up.kill('SIGKILL');
  await once(up, 'exit');
  await eventually(t, async (t) => await t.throwsAsync(fetch(`${compute}/health`)));
});

/** Uploads what a prediction needs, and returns the ids. */
async function uploadInputs({
  storage,
}: Platform): Promise<{ readonly model: string; readonly data: string }> {
  const archive = rawTarGz([{ name: 'Dockerfile', body: 'FROM scratch\nENTRYPOINT ["it"]\n' }]);
  const algo = await uploadThing(storage, 'algo', { name: 'algo' }, archive);
  const packed = rawTarGz([{ name: 'model_trained.json', body: '{}' }]);
  return {
    model: await uploadModel(storage, algo, new Uint8Array(packed)),
    data: await uploadData(storage),
  };
}
