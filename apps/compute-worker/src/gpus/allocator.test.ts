import test from 'ava';
import fc from 'fast-check';
import { someGpus } from '../testing/gpus.ts';
import { GpuAllocator, type GpuLease } from './allocator.ts';

const ids = (lease: GpuLease | undefined) => lease?.gpus.map(({ index }) => index);

test('A lease has GPUs that no other lease has', (t) => {
  const allocator = new GpuAllocator(someGpus(3));
  using first = allocator.lease(2);
  t.deepEqual(ids(first), [0, 1]);
  t.is(allocator.free, 1);
  t.is(allocator.lease(2), undefined);
  using second = allocator.lease(1);
  t.deepEqual(ids(second), [2]);
  t.is(allocator.lease(1), undefined);
});

test('A lease that is given back can be leased again', (t) => {
  const allocator = new GpuAllocator(someGpus(2));
  const first = allocator.lease(1);
  using _second = allocator.lease(1);
  first?.[Symbol.dispose]();
  using third = allocator.lease(1);
  t.deepEqual(ids(third), [0]);
});

test('A lease of no GPU is always to be had', (t) => {
  const allocator = new GpuAllocator([]);
  t.deepEqual(ids(allocator.lease(0)), []);
  t.is(allocator.lease(1), undefined);
});

test('Slots of shared GPUs are leased where the fewest share', (t) => {
  const allocator = new GpuAllocator(someGpus(2), 2);
  const leases = [allocator.lease(1), allocator.lease(1), allocator.lease(1)];
  t.deepEqual(leases.map(ids), [[0], [1], [0]]);
  t.is(allocator.free, 1);
  t.is(allocator.lease(2), undefined, 'a lease never has one GPU twice');
});

test('A lease ends however its attempt does', async (t) => {
  const allocator = new GpuAllocator(someGpus(1));
  const attempt = async () => {
    await using _lease = allocator.lease(1);
    t.is(allocator.free, 0);
    await Promise.reject(new Error('The run crashed.'));
  };
  await t.throwsAsync(attempt());
  t.is(allocator.free, 1);
});

/** Leases of so many GPUs, and the returns of a lease that was made before: of one that is over as well. */
const step = fc.oneof(fc.record({ lease: fc.nat({ max: 5 }) }), fc.record({ giveBack: fc.nat({ max: 40 }) }));

test('Whatever is leased and given back, no GPU has more leases than slots', (t) => {
  const machine = fc.record({ gpus: fc.nat({ max: 5 }), slots: fc.integer({ min: 1, max: 3 }) });
  fc.assert(
    fc.property(machine, fc.array(step, { maxLength: 60 }), ({ gpus, slots }, steps) => {
      const allocator = new GpuAllocator(someGpus(gpus), slots);
      const all: GpuLease[] = [];
      const open = new Set<GpuLease>();
      const uses = () => someGpus(gpus).map(({ id }) => [...open].filter((lease) => has(lease, id)).length);
      for (const one of steps) {
        const free = uses().filter((count) => count < slots).length;
        if (allocator.free !== free)
          throw new Error(`${allocator.free} are said to be free, and ${free} are`);
        if ('lease' in one) {
          const lease = allocator.lease(one.lease);
          if ((lease !== undefined) !== one.lease <= free)
            throw new Error('A lease is refused or made wrongly');
          if (lease === undefined) continue;
          if (new Set(ids(lease)).size !== one.lease)
            throw new Error('A lease has other GPUs than it should');
          all.push(lease);
          open.add(lease);
        } else {
          const lease = all[one.giveBack % Math.max(1, all.length)];
          lease?.[Symbol.dispose]();
          if (lease !== undefined) open.delete(lease);
        }
        if (uses().some((count) => count > slots)) throw new Error('A GPU has more leases than slots');
      }
      for (const lease of all) lease[Symbol.dispose]();
      if (allocator.free !== gpus) throw new Error('Not all GPUs are free at the end');
    }),
  );
  t.pass();
});

function has(lease: GpuLease, id: string): boolean {
  return lease.gpus.some((gpu) => gpu.id === id);
}

test('GPUs that something goes on with are leased again, also before they are found', (t) => {
  const [first, second] = someGpus(2);
  if (first === undefined || second === undefined) throw new Error('There are no GPUs.');
  const allocator = new GpuAllocator([first]);
  const again = allocator.leaseAgain([second]);
  t.is(allocator.free, 1);
  allocator.add([second]);
  t.is(allocator.free, 1);
  using other = allocator.lease(1);
  t.deepEqual(ids(other), [0]);
  again[Symbol.dispose]();
  t.is(allocator.free, 1);
});

test('GPUs that are lent are free to others, who wait until they are let go of', async (t) => {
  const allocator = new GpuAllocator(someGpus(2));
  using first = allocator.lease(1);
  const second = allocator.lease(1);
  t.is(allocator.free, 0);
  const letGo = Promise.withResolvers<void>();
  using lent = second?.lend(async () => {
    await letGo.promise;
    second[Symbol.dispose]();
  });
  t.is(allocator.free, 1);
  using third = allocator.lease(1);
  t.deepEqual(ids(third), ids(second));
  t.is(allocator.free, 0, 'who lent them is asked once');
  lent?.[Symbol.dispose]();
  t.is(allocator.free, 0, 'and cannot have them back');
  const order: string[] = [];
  const ready = third?.ready.then(() => order.push('ready'));
  order.push('before');
  letGo.resolve();
  await ready;
  t.deepEqual(order, ['before', 'ready']);
  t.is(allocator.free, 0);
  first?.[Symbol.dispose]();
  t.is(allocator.free, 1);
});

test('GPUs that are taken back in time are not given up, and who waits for some is told of those that come free', (t) => {
  const allocator = new GpuAllocator(someGpus(1));
  let told = 0;
  using _listening = allocator.onFree(() => {
    told += 1;
  });
  const lease = allocator.lease(1);
  const lent = lease?.lend(async () => t.fail('nobody has leased them'));
  t.is(told, 1);
  lent?.[Symbol.dispose]();
  t.is(allocator.lease(1), undefined);
  lease?.[Symbol.dispose]();
  t.is(told, 2);
  using again = allocator.lease(1);
  t.deepEqual(ids(again), [0]);
});
