import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { computeClient, storageClient } from '@morpheo/client';
import { preduplet } from '@morpheo/common';
import { type NsqServer, startNsqd, withParts } from '@morpheo/real-parts';
import { openNsqBroker } from '@morpheo/service/broker';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import ava, { type ExecutionContext } from 'ava';
import { uploadForPredictions } from '../scenarios/uploads.ts';
import { startSupervisedWorker } from '../testing/service-program.ts';
import { openServicesWithRoles } from '../testing/services-with-roles.ts';

const test = withParts(ava.serial, 'nsq');

/** Orders of each fault, and how long after one another they come. */
const FLOW = { orders: 40, everyMs: 100 } as const;
/** Nobody who posts waits for the broker; workers that hear nothing ask by themselves about every 5 s. */
const MOST = { acceptMs: 5000, pickUpMs: 10_000 } as const;

/** What happens to nsqd until all orders are done; each leaves it as it was. */
const FAULTS: Readonly<Record<string, (nsqd: NsqServer, over: Promise<void>) => Promise<void>>> = {
  'is away': async (nsqd, over) => {
    await nsqd.kill();
    await over;
    await nsqd.start();
  },
  'loses all that it has': async (nsqd, over) => {
    await nsqd.wipe();
    await nsqd.start();
    await over;
  },
  'stands still': async (nsqd, over) => {
    await nsqd.freeze();
    await over;
    await nsqd.thaw();
  },
  'comes and goes': async (nsqd, over) => {
    let isOver: 'not yet' | 'over' = 'not yet';
    const ended = over.finally(() => {
      isOver = 'over';
    });
    while (isOver === 'not yet') {
      await nsqd.kill();
      await pause(200);
      await nsqd.start();
      await pause(300);
    }
    await ended;
  },
};

for (const [fault, make] of Object.entries(FAULTS)) {
  test(`While nsqd ${fault}, orders are taken at once and picked up within ten seconds`, async (t) => {
    t.timeout(180_000);
    await using nsqd = await startNsqd();
    const broker = () => openNsqBroker({ nsqds: [nsqd.tcp], log: silentLog });
    await using services = await openServicesWithRoles({}, broker);
    const [storage = '', compute = ''] = services.services.map(({ url }) => url);
    const credentials = services.credentialsOf('worker');
    const settings = {
      storage,
      compute,
      credentials,
      poison: '',
      slots: 4,
      workMs: 50,
      pollMs: 5000,
      nsqd: nsqd.tcp,
    };
    await using _one = startSupervisedWorker(settings);
    await using _other = startSupervisedWorker(settings);
    const admin = services.credentialsOf('admin');
    const api = computeClient({ url: compute, credentials: admin });
    const named = await uploadForPredictions(storageClient({ url: storage, credentials: admin }));
    await eventually(t, async (t) => t.is((await api.listWorkers({})).items.length, 2));

    const done = async (t: ExecutionContext, count: number): Promise<void> =>
      void t.deepEqual((await api.getQueue({})).counts, { done: count });
    /** Waits until no worker asks because an order has ended: whoever takes the next one has heard of it, or asks by itself. */
    const lull = async (): Promise<void> => {
      await eventually(t, async (t) => await done(t, FLOW.orders - 1));
      await pause(1000);
    };
    const accepted: number[] = [];
    const ids: string[] = [];
    const flow = async (): Promise<void> => {
      for (let n = 0; n < FLOW.orders; n += 1) {
        const body = preduplet.parse({
          ...{ uuid: randomUUID(), problem: randomUUID(), workflow: randomUUID() },
          ...{ ...named, status: 'todo' },
        });
        if (n === FLOW.orders - 1) await lull();
        const from = performance.now();
        await api.pred({ body });
        accepted.push(performance.now() - from);
        ids.push(body.uuid);
        await pause(FLOW.everyMs);
      }
    };
    const allDone = async (): Promise<void> => {
      await flow();
      await eventually(t, async (t) => await done(t, FLOW.orders));
    };
    await make(nsqd, allDone());

    const views = await Promise.all(ids.map(async (id) => await api.getOrder({ params: { id } })));
    const waited = views.map(
      ({ created_at, started_at = '' }) => Date.parse(started_at) - Date.parse(created_at),
    );
    const [accept, pickUp] = [Math.max(...accepted), Math.max(...waited)];
    t.log(`accepted within ${Math.round(accept)} ms, picked up within ${(pickUp / 1000).toFixed(1)} s`);
    t.true(accept < MOST.acceptMs, `${accept} ms`);
    t.true(pickUp < MOST.pickUpMs, `${pickUp} ms`);
    t.true(views.every(({ attempt }) => attempt === 1));
  });
}
