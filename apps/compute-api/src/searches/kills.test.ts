import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { computeClient } from '@morpheo/client';
import { isPlatformError, type Search } from '@morpheo/common';
import test from 'ava';
import { computeProcess } from '../testing/compute-process.ts';
import { openTestCompute } from '../testing/open-test-compute.ts';
import { openPinningStorage } from '../testing/pinning-storage.ts';
import { aSearch, runTrial, trialsOf } from '../testing/searches.ts';
import { TestWorker } from '../testing/test-worker.ts';

/** More for a longer run: `KILLS=100`. */
const KILLS = Number(process.env.KILLS ?? 4);
const SLOTS = { learn: 0, predict: 0, job: 1 };

/** Of jobs whose outputs go to no storage, which publishes none here. */
function longSearch(seed: number): Search {
  const outputs = { storage: false, bucket: { connection: 'lab', prefix: 'runs/' } };
  const job = { algo: randomUUID(), outputs };
  return aSearch({ seed, budget: { trials: Math.max(12, 2 * KILLS) }, job, control: true });
}

/** The same call until it is answered, whatever becomes of the service meanwhile. */
async function insist<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isPlatformError(error, 'unavailable')) throw error;
      await setTimeout(20);
    }
  }
}

/** Does the work of a search until it has ended. */
async function workOff(api: Parameters<typeof trialsOf>[0] & TestWorker['api'], uuid: string): Promise<void> {
  const worker = await insist(async () => await TestWorker.register(api, randomUUID(), SLOTS));
  while ((await insist(async () => await api.getSearch({ params: { uuid } }))).status === 'running') {
    const claim = await worker.claim(0, ['job']).catch(async (error: unknown) => {
      if (!isPlatformError(error, 'unavailable')) throw error;
      // The answer may have been lost, and with it an order: a new process holds none.
      await insist(async () => await worker.restart([]));
      return null;
    });
    if (claim === null) await setTimeout(5);
    else await insist(async () => await runTrial(worker, claim));
  }
}

test('A search whose service is killed again and again makes the same trials', async (t) => {
  t.timeout(600_000);
  await using calm = await openTestCompute();
  const undisturbed = longSearch(11);
  await calm.api.postSearch({ body: undisturbed });
  await workOff(calm.api, undisturbed.uuid);

  await using storage = await openPinningStorage();
  await using service = await computeProcess(storage.url);
  await service.start();
  const api = computeClient({ url: service.url });
  const body = longSearch(11);
  await api.postSearch({ body });
  const working = workOff(api, body.uuid);
  for (let kill = 0; kill < KILLS; kill += 1) {
    await service.killAtWrite(1 + ((kill * 7) % 12));
    await service.start();
  }
  await working;
  t.deepEqual(await trialsOf(api, body.uuid), await trialsOf(calm.api, undisturbed.uuid));
  const [killed, whole] = [api, calm.api].map(async (one, at) => {
    const uuid = [body, undisturbed][at]?.uuid ?? '';
    const { status, orders, ended, rungs, why } = await one.getSearch({ params: { uuid } });
    return { status, orders, ended, rungs, why };
  });
  t.deepEqual(await killed, await whole);
});
