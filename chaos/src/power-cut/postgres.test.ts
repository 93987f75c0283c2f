import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { computeClient } from '@morpheo/client';
import { startPostgres } from '@morpheo/real-parts';
import { freePorts } from '@morpheo/standalone/killable-platform';
import { ServiceProcess } from '../cluster/service-process.ts';
import { untilHealthy } from '../cluster/until-healthy.ts';
import { Account } from './account.ts';
import { makeLoopDisk } from './loop-disk.ts';
import { powerCutTest } from './power-cut-test.ts';
import { lostOrders, postUntilGone } from './witness.ts';

const CUTS = Number(process.env.CUTS ?? 3);

powerCutTest('Orders that were acknowledged on PostgreSQL survive power cuts', async (t) => {
  t.timeout(600_000);
  const account = new Account();
  const [port = 0] = await freePorts(1);
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
      await using service = new ServiceProcess(
        'compute-api',
        'compute-api',
        {
          ...{
            port: String(port),
            'insecure-open': 'true',
            storage: 'http://127.0.0.1:1',
            'log-level': 'error',
          },
          ...{ 'storage-user': 'nobody', 'storage-password': 'there is no storage here' },
          ...{
            'db-host': host,
            'db-port': String(at),
            'db-name': name,
            'db-user': user,
            'db-password': password,
          },
        },
        '/dev/null',
      );
      service.start();
      await untilHealthy(url);
      t.deepEqual(await lostOrders(compute, account), []);
      if (cut === CUTS) break;
      const posting = postUntilGone(compute, account);
      await new Promise((resolve) => setTimeout(resolve, 500 + Math.random() * 2500));
      await postgres.kill();
      await service.kill();
      await posting;
      disk = await disk.cut();
    }
  } finally {
    await disk[Symbol.asyncDispose]();
  }
  t.true(account.orders.size > 50);
  t.log(`${CUTS} power cuts: ${account.orders.size} orders acknowledged, none lost`);
});
