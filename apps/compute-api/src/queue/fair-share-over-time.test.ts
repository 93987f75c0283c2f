import { randomFrom, sampleSize } from '@morpheo/real-parts';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { seedQueue } from '../testing/orders.ts';
import type { TestWorker } from '../testing/test-worker.ts';

const ORDERS = sampleSize('ORDERS', { small: 200, full: 1000 });
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const WEIGHTS = { light: 1, middle: 2, heavy: 5 } as const;
const SLOTS = 6;
/** How far the part of an owner may be from that of its weight. */
const APART = 0.1;

type Owner = keyof typeof WEIGHTS;
type Running = Awaited<ReturnType<TestWorker['mustClaim']>> & { readonly until: number };

/** Ends the order of `running` that is due first, of its own or since somebody cancels it. */
async function endFirst(compute: TestCompute, worker: TestWorker, running: Running[], cancel: boolean) {
  running.sort((a, b) => a.until - b.until);
  const first = running.shift();
  if (first === undefined) return;
  if (cancel) await compute.api.cancelOrder({ params: { id: first.order } });
  else
    await worker.report(first, {
      outcome: 'failed',
      failure: { reason: 'exit_code', message: 'It failed.' },
    });
}

/** Cancels an order of an owner that nobody has claimed. */
async function cancelDue({ api, database }: TestCompute, owner: string): Promise<void> {
  const due = await database.read
    .selectFrom('orders')
    .select('id')
    .where('owner', '=', owner)
    .where('status', '=', 'todo')
    .limit(1)
    .executeTakeFirst();
  if (due !== undefined) await api.cancelOrder({ params: { id: due.id } });
}

testOnEngines(
  'Shares follow the weights, whatever is cancelled or ends at once',
  async (t, openTestCompute, engine) => {
    t.timeout(300_000 + ORDERS * 300);
    await using compute = await openTestCompute();
    const worker = await compute.worker({ learn: SLOTS, predict: 1 });
    // A server takes many times as long, and decides the same.
    const orders = engine === 'postgres' ? Math.min(ORDERS, 200) : ORDERS;
    const random = randomFrom(SEED).next;
    const owners = Object.keys(WEIGHTS) as Owner[];
    const total = owners.reduce((sum, owner) => sum + WEIGHTS[owner], 0);
    for (const owner of owners) {
      await compute.api.setOwner({ params: { owner }, body: { weight: WEIGHTS[owner] } });
      await seedQueue(compute, owner, 2 * orders);
    }
    const claims: Record<Owner, number> = { light: 0, middle: 0, heavy: 0 };
    const running: Running[] = [];
    for (let now = 0; now < orders; now++) {
      const claim = await worker.mustClaim();
      claims[claim.owner as Owner]++;
      // Those of the light owner take longest: its part is one of claims, not of time.
      const longest = claim.owner === 'light' ? 20 : 5;
      running.push({ ...claim, until: now + random() * longest });
      if (random() < 0.2) await cancelDue(compute, owners[Math.floor(random() * owners.length)] ?? 'light');
      while (running.length >= SLOTS) await endFirst(compute, worker, running, random() < 0.3);
    }
    for (const owner of owners) {
      const expected = WEIGHTS[owner] / total;
      const got = claims[owner] / orders;
      t.true(Math.abs(got - expected) <= APART * expected, `${owner}: ${got} of ${expected}, seed ${SEED}`);
    }
    t.log(
      `seed ${SEED}: ${JSON.stringify(claims)} of ${orders} claims by weights ${JSON.stringify(WEIGHTS)}`,
    );
  },
);
