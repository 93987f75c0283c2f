import { startPostgres, withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';
import { openTestService } from '../testing/open-test-service.ts';
import { aLearnuplet } from '../testing/orders.ts';

const test = withParts(ava, 'postgres');
const ORDERS = 200;
test('Orders that were accepted survive a database that is killed, and meanwhile callers are answered to come back', async (t) => {
  t.timeout(180_000);
  await using server = await startPostgres();
  await using service = await openTestService(true, {
    database: { engine: 'postgres', address: server.target },
  });
  const waiting = Array.from({ length: ORDERS }, () => aLearnuplet());
  const taken: string[] = [];
  const refused: string[] = [];
  const posting = Array.from({ length: 8 }, async () => {
    for (let body = waiting.pop(); body !== undefined; body = waiting.pop()) {
      const answer = await fetch(`${service.url}/learn`, { method: 'POST', body: JSON.stringify(body) });
      await answer.body?.cancel();
      if (answer.status === 202) taken.push(body.uuid);
      else {
        refused.push(`${answer.status} after ${answer.headers.get('retry-after')}`);
        waiting.push(body);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  });
  for (const mark of [50, 120]) {
    await eventually(t, (t) => t.true(taken.length >= mark));
    await server.kill();
    const ready = await fetch(`${service.url}/ready`);
    t.is(ready.status, 503);
    t.is((await fetch(`${service.url}/v1/orders`)).status, 401);
    await server.start();
  }
  await Promise.all(posting);
  t.true(refused.length > 0, 'no caller met the dead database');
  t.deepEqual(new Set(refused), new Set(['503 after 1']));
  t.is(taken.length, ORDERS);
  const rows = await server.query('select id, status from orders');
  const kept = new Set(rows.map(({ id }) => id));
  t.deepEqual(
    taken.filter((id) => !kept.has(id)),
    [],
  );
  await eventually(t, async (t) => t.is((await fetch(`${service.url}/ready`)).status, 200));
});
