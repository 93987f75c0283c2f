import { join } from 'node:path';
import { freePorts, KillablePlatform } from '@morpheo/standalone/killable-platform';
import { Account, apisOf } from './account.ts';
import { makeLoopDisk } from './loop-disk.ts';
import { powerCutTest } from './power-cut-test.ts';
import { losses, witness } from './witness.ts';

const CUTS = Number(process.env.CUTS ?? 5);

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
      await new Promise((resolve) => setTimeout(resolve, 500 + Math.random() * 2500));
      await platform.kill();
      await witnessing;
      disk = await disk.cut();
    }
  } finally {
    await disk[Symbol.asyncDispose]();
  }
  t.true(account.orders.size > 100 && account.stored.size > 20 && account.resumed > 0);
  t.log(
    `${CUTS} power cuts: ${account.orders.size} orders and ${account.stored.size} blobs acknowledged, none lost; ` +
      `${account.resumed} uploads were cut, and went on from where storage had said`,
  );
});
