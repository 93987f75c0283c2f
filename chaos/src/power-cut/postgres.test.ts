import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { computeClient } from '@morpheo/client';
import { freePort, mainOf, ServiceProcess, sampleSize, startPostgres } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import { Account } from './account.ts';
import { makeLoopDisk, powerCutTest } from './loop-disk.ts';
import { lostOrders, postUntilGone } from './witness.ts';

/** Orders to acknowledge before each cut. */
const ENOUGH = 17;
const CUTS = sampleSize('CUTS', { small: 1, full: 3 });

powerCutTest('Orders that were acknowledged on PostgreSQL survive power cuts', async (t) => {
  t.timeout(600_000);
  const account = new Account();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const compute = computeClient({ url });
  let disk = await makeLoopDisk(1024);
  let name: string | undefined;
  try {
    for (let cut = 0; cut <= CUTS; cut += 1) {
      const folder = join(disk.folder, 'postgres');
      await mkdir(folder, { recursive: true });
      await using postgres = await startPostgres({ folder });
      name ??= (await postgres.createDatabase()).database;
      const { host, port: at, user, password } = postgres.target;
      await using service = new ServiceProcess({
        main: mainOf('compute-api'),
        flags: {
          ...{ port, 'insecure-open': '', storage: 'http://127.0.0.1:1', 'log-level': 'error' },
          ...{ 'storage-user': 'nobody', 'storage-password': 'there is no storage here' },
          ...{ 'db-host': host, 'db-port': at, 'db-name': name, 'db-user': user, 'db-password': password },
        },
        ready: `${url}/health`,
      });
      await service.start();
      t.deepEqual(await lostOrders(compute, account), []);
      if (cut === CUTS) break;
      const posting = postUntilGone(compute, account);
      // Cut in the middle of the work, however slow the machine is: after enough orders were acknowledged.
      const before = account.orders.size;
      await eventually(t, (inner) => inner.true(account.orders.size > before + ENOUGH));
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 1000));
      await postgres.kill();
      await service.kill();
      await posting;
      disk = await disk.cut();
    }
  } finally {
    await disk[Symbol.asyncDispose]();
  }
  t.true(account.orders.size > ENOUGH * CUTS);
  t.log(`${CUTS} power cuts: ${account.orders.size} orders acknowledged, none lost`);
});
