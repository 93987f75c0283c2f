import { join } from 'node:path';
import { freePorts, sampleSize } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import { KillablePlatform } from '@morpheo/standalone/killable-platform';
import { Account, apisOf } from './account.ts';
import { makeLoopDisk, powerCutTest } from './loop-disk.ts';
import { losses, witness } from './witness.ts';

const CUTS = sampleSize('CUTS', { small: 2, full: 5 });

powerCutTest('What was acknowledged on SQLite and local blobs survives power cuts', async (t) => {
  t.timeout(600_000);
  const account = new Account();
  const [storage = 0, compute = 0, orchestrator = 0] = await freePorts(3);
  const ports = { storage, compute, orchestrator };
  let disk = await makeLoopDisk(2048);
  try {
    for (let cut = 0; cut <= CUTS; cut += 1) {
      const home = join(disk.folder, 'home');
      await using platform = new KillablePlatform(home, ports);
      await platform.start();
      const apis = apisOf(await platform.connection());
      t.deepEqual(await losses(apis, account), []);
      if (cut === CUTS) break;
      const witnessing = witness(apis, account);
      // Cut in the middle of the work, however slow the machine is: after enough of each was acknowledged.
      const before = { orders: account.orders.size, stored: account.stored.size };
      await eventually(t, (inner) => {
        inner.true(account.orders.size > before.orders + 20 && account.stored.size > before.stored + 4);
        inner.true(account.unfinished.size > 0);
      });
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 1000));
      await platform.kill();
      await witnessing;
      disk = await disk.cut();
    }
  } finally {
    await disk[Symbol.asyncDispose]();
  }
  t.true(account.orders.size > 20 * CUTS && account.stored.size > 4 * CUTS && account.resumed > 0);
  t.log(
    `${CUTS} power cuts: ${account.orders.size} orders and ${account.stored.size} blobs acknowledged, none lost; ` +
      `${account.resumed} uploads were cut, and went on from where storage had said`,
  );
});
