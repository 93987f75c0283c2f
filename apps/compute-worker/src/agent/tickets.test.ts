import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { MemoryCompute } from '../testing/memory-compute.ts';
import { openTestWorker, reportOf } from '../testing/test-worker.ts';

/** A compute-api that signs another ticket at each claim and renewal: `ticket 1`, `ticket 2`, and so on. */
function computeWithTickets(): MemoryCompute & { signed: number } {
  const compute = Object.assign(new MemoryCompute(), { signed: 0 });
  compute.terms = { lease_ms: 30_000, renew_ms: 5 };
  compute.ticketOf = () => {
    compute.signed += 1;
    return `ticket ${compute.signed}`;
  };
  return compute;
}

test('Whatever an attempt asks of storage comes with its ticket, and its own credentials are for nothing', async (t) => {
  const compute = computeWithTickets();
  await using setup = await openTestWorker({ compute });
  setup.storage.admits = (ticket) => ticket !== undefined;
  const orders = [setup.learn(), setup.predict()];
  await setup.worker.settle();
  t.deepEqual(
    orders.map((order) => reportOf(order).outcome),
    ['done', 'done'],
  );
  t.is(setup.storage.staged.size, 2);
});

test('A download that is cut when the ticket has run out goes on by the ticket of the last renewal', async (t) => {
  const compute = computeWithTickets();
  await using setup = await openTestWorker({ compute });
  const uuid = setup.storage.put('data', 'a large data set');
  let cuts = 0;
  setup.storage.served = async function* (bytes, of) {
    if (of !== uuid || cuts > 0) return yield bytes;
    cuts += 1;
    yield bytes.subarray(0, 3);
    const shown = setup.storage.shown.at(-1);
    const before = compute.signed;
    await eventually(t, (inner) => inner.true(compute.signed > before + 1));
    setup.storage.admits = (ticket) => ticket !== shown;
    throw new Error('cut');
  };
  const order = setup.learn({ train_data: [uuid] });
  await setup.worker.settle();
  t.is(reportOf(order).outcome, 'done');
  t.deepEqual(setup.storage.downloads.get(uuid), ['', 'bytes=3-']);
});
