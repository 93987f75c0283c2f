import { type Claim, type NamedTerms, termsOf } from '@morpheo/common';
import fc from 'fast-check';
import { testOnEngines } from '../testing/on-engines.ts';
import type { TestCompute } from '../testing/open-test-compute.ts';
import { aLearnuplet, aPreduplet, emptyQueue, seedQueue } from '../testing/orders.ts';
import type { TestOffers, TestWorker } from '../testing/test-worker.ts';

const SLOTS = { learn: 4, predict: 4 };

async function order(
  { api }: TestCompute,
  needs?: NamedTerms,
  owner = 'ada',
  gpus?: number,
): Promise<string> {
  const body = aLearnuplet({ needs, gpus });
  await api.learn({ body }, { principal: { name: owner, roles: ['orchestrator'] } });
  return body.uuid;
}

async function offering({ worker }: TestCompute, offers: TestOffers, gpus = 0): Promise<TestWorker> {
  return await worker(SLOTS, gpus, 1, offers);
}

async function why({ api }: TestCompute, id: string) {
  return await api.whyOrder({ params: { id } });
}

const zone = (value: string) => ({ labels: { zone: value } });

testOnEngines('A worker gets an order whose every need it offers', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const all = { runtime: 'docker', arch: 'arm64', labels: { zone: 'a', 'example.org/disk': '' } } as const;
  const cases: [NamedTerms, TestOffers, boolean][] = [
    [{}, {}, true],
    [{}, all, true],
    [{ runtime: 'docker' }, { runtime: 'docker' }, true],
    [{ runtime: 'docker' }, { runtime: 'process' }, false],
    [{ runtime: 'process' }, { runtime: 'process' }, true],
    // As old workers register: their runtime was a text for people.
    [{ runtime: 'docker' }, { runtime: 'none' }, false],
    [{ arch: 'amd64' }, { runtime: 'docker' }, false],
    [{ arch: 'amd64' }, { arch: 'amd64' }, true],
    [{ arch: 'amd64' }, { arch: 'arm64' }, false],
    [zone('a'), zone('a'), true],
    [zone('a'), zone('b'), false],
    [zone('a'), zone('A'), false],
    [zone(''), zone('a'), false],
    [{ labels: { 'example.org/disk': '' } }, all, true],
    [{ labels: { zone: 'a', rack: '1' } }, zone('a'), false],
    [all, all, true],
  ];
  for (const [needs, offers, fits] of cases) {
    await emptyQueue(compute);
    const id = await order(compute, needs);
    const claim = await (await offering(compute, offers)).claim();
    t.is(claim?.order, fits ? id : undefined, JSON.stringify({ needs, offers }));
  }
});

testOnEngines('Orders of every kind and in chains have needs', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const [plain, able] = [await offering(compute, {}), await offering(compute, zone('a'))];
  const prediction = aPreduplet({ needs: zone('a') });
  await compute.api.pred({ body: prediction });
  t.is(await plain.claim(), null);
  t.is((await able.mustClaim()).order, prediction.uuid);
  const first = aLearnuplet();
  const second = aLearnuplet({ rank: 1, model_start: first.model_end, needs: zone('a') });
  await compute.api.learn({ body: first });
  await compute.api.learn({ body: second });
  t.like(await compute.api.getOrder({ params: { id: second.uuid } }), {
    status: 'waiting',
    needs: zone('a'),
  });
  await plain.finish(await plain.mustClaim());
  t.is((await able.mustClaim()).order, second.uuid);
});

testOnEngines('A worker offers what it said last', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await offering(compute, { arch: 'amd64', ...zone('a') });
  t.like((await compute.api.listWorkers({})).items[0], {
    runtime: 'none',
    arch: 'amd64',
    labels: { zone: 'a' },
  });
  await order(compute, zone('a'));
  await worker.restart([]);
  t.is(await worker.claim(), null);
  const [shown] = (await compute.api.listWorkers({})).items;
  t.false('labels' in (shown ?? {}));
});

testOnEngines(
  'The same order again has the same needs, however they are written',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const body = aLearnuplet({ needs: { arch: 'amd64', labels: { a: '1', b: '2' } } });
    await compute.api.learn({ body });
    const again = aLearnuplet({ ...body, needs: { labels: { b: '2', a: '1' }, arch: 'amd64' } });
    await t.notThrowsAsync(compute.api.learn({ body: again }));
    for (const needs of [{ arch: 'amd64' }, undefined]) {
      await t.throwsAsync(compute.api.learn({ body: { ...body, needs } }), { code: 'conflict' });
    }
  },
);

testOnEngines('Needs that nothing could offer are refused', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const many = Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`label-${n}`, '']));
  for (const [needs, said] of [
    [{ runtime: 'podman' }, /^Invalid learn-uplet: needs\.runtime: .*docker/],
    [{ arch: 'x86_64' }, /^Invalid learn-uplet: needs\.arch: .*amd64/],
    [zone('a b'), /^Invalid learn-uplet: needs\.labels\.zone: should be at most 63 letters/],
    [{ labels: { '-zone': 'a' } }, /^Invalid learn-uplet: needs\.labels\.-zone: should be a name/],
    [{ labels: many }, /^Invalid learn-uplet: needs\.labels: should be at most 32 labels/],
  ] as const) {
    await t.throwsAsync(order(compute, needs), { code: 'invalid_order', message: said });
  }
});

testOnEngines('The open orders of an owner have a hundred different needs at most', async (t, open) => {
  await using compute = await open();
  for (let n = 0; n < 100; n++) await seedQueue(compute, 'ada', 2, { needs: zone(`z${n}`) });
  await t.throwsAsync(order(compute, zone('one-more')), {
    code: 'invalid_order',
    message: /^The open orders of ada have 100 different needs, and may not have more\./,
  });
  await t.notThrowsAsync(order(compute, zone('z7')));
  await t.notThrowsAsync(order(compute));
  await t.notThrowsAsync(order(compute, zone('one-more'), 'eve'));
  await emptyQueue(compute);
  await t.notThrowsAsync(order(compute, zone('one-more')));
});

testOnEngines('What nobody can run is in nobody’s way', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await offering(compute, zone('a'), 2);
  for (const needs of [zone('b'), { arch: 'riscv64' }]) await seedQueue(compute, 'ada', 3, { needs });
  const ids = [await order(compute, zone('a')), await order(compute), await order(compute, zone('a'), 'eve')];
  t.like(await why(compute, ids[0] ?? ''), { code: 'workers_busy', before: 0 });
  const claimed = [await worker.mustClaim(), await worker.mustClaim(), await worker.mustClaim()];
  t.deepEqual(
    claimed.map((claim) => claim.order),
    [ids[0], ids[2], ids[1]],
  );
  t.is(await worker.claim(), null);
});

testOnEngines('Owners with different needs share fairly', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const worker = await offering(compute, { arch: 'amd64', ...zone('a') });
  await compute.api.setOwner({ params: { owner: 'heavy' }, body: { weight: 2 } });
  await seedQueue(compute, 'light', 10, { needs: zone('a') });
  await seedQueue(compute, 'heavy', 5, { needs: { arch: 'amd64' } });
  await seedQueue(compute, 'heavy', 15);
  const claims = { light: 0, heavy: 0 };
  for (let n = 0; n < 15; n++) claims[(await worker.mustClaim()).owner as 'light' | 'heavy']++;
  t.deepEqual(claims, { light: 5, heavy: 10 });
});

testOnEngines(
  'GPUs are reserved for orders alone whose needs the worker offers',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute({ gpuPatienceMs: 0 });
    const [plain, able] = [await offering(compute, {}, 2), await offering(compute, zone('a'), 2)];
    const big = await order(compute, zone('a'), 'ada', 2);
    const first = await order(compute, undefined, 'ada', 1);
    const second = await order(compute, undefined, 'ada', 1);
    t.is((await plain.mustClaim(1)).order, first, 'it keeps none for an order that it cannot run');
    t.is(await able.claim(1), null);
    // It comes back without the label: another keeps GPUs for the order, and this one does not get it.
    await able.restart([]);
    const other = await offering(compute, zone('a'), 2);
    t.is(await other.claim(1), null);
    t.is((await able.mustClaim(2)).order, second);
    t.is((await other.mustClaim(2)).order, big);
  },
);

testOnEngines(
  'An isolated order waits for a worker that offers what it needs',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const [plain, able] = [await offering(compute, {}), await offering(compute, zone('a'))];
    const id = await order(compute, zone('a'));
    await compute.database.write(async (tx) => await tx.updateTable('orders').set({ alone: 1 }).execute());
    const beside = await order(compute);
    // As though it had offered the label before.
    await compute.database.write(
      async (tx) => await tx.updateTable('orders').set({ alone_on: plain.id }).where('id', '=', id).execute(),
    );
    t.is((await plain.mustClaim()).order, beside);
    await order(compute);
    t.truthy(await plain.claim(), 'it is not kept free for what it cannot run');
    t.is((await able.mustClaim()).order, id);
  },
);

testOnEngines('Why names what no worker offers', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const docker = await order(compute, { runtime: 'docker' });
  t.like(await why(compute, docker), { code: 'no_worker' });
  const first = await offering(compute, { runtime: 'process', arch: 'amd64', ...zone('a') });
  await compute.worker({ learn: 0, predict: 4 }, 0, 1, { runtime: 'docker', ...zone('b') });
  t.deepEqual(await why(compute, docker), {
    code: 'needs_docker',
    sentence:
      'It needs Docker, and no living worker for learn orders runs containers in Docker. Start one that does, or cancel it and order it again without.',
  });
  const b = await order(compute, { ...zone('b'), arch: 'amd64' });
  t.deepEqual(await why(compute, b), {
    code: 'no_worker_offers',
    sentence:
      'No living worker for learn orders offers the label zone=b. Start one that does, or cancel it and order it again without.',
  });
  t.like(await compute.api.getOrder({ params: { id: b } }), {
    queue: { basis: 'No basis: no worker for learn orders that offers what it needs is alive.' },
  });
  const second = await offering(compute, { runtime: 'docker', arch: 'arm64' });
  const both = await order(compute, { runtime: 'docker', arch: 'amd64', ...zone('a') });
  t.is(
    (await why(compute, both)).sentence,
    `No living worker for learn orders offers all that it needs, the architecture amd64, the label zone=a and Docker: worker ${first.id} comes nearest, and lacks Docker. Start one that does, or cancel it and order it again without.`,
  );
  t.is((await second.mustClaim()).order, docker);
  const busy = await order(compute, { arch: 'arm64' });
  t.like(await why(compute, busy), { code: 'workers_busy', before: 0 });
  t.regex(
    (await why(compute, busy)).sentence,
    /^It is next, as soon as one of 4 slots of workers that offer the architecture arm64 is free\./,
  );
});

testOnEngines(
  'A dedicated worker takes only orders that need what it is dedicated to',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const offers = { arch: 'amd64', labels: { trainer: '1', zone: 'a' }, dedicated: ['trainer'] } as const;
    const cases: [NamedTerms, boolean][] = [
      [{}, false],
      [{ arch: 'amd64' }, false],
      [zone('a'), false],
      [{ labels: { trainer: '2' } }, false],
      [{ labels: { trainer: '1' } }, true],
      [{ arch: 'amd64', labels: { trainer: '1', zone: 'a' } }, true],
      [{ arch: 'arm64', labels: { trainer: '1' } }, false],
    ];
    for (const [needs, fits] of cases) {
      for (const gpus of [0, 1]) {
        await emptyQueue(compute);
        const id = await order(compute, needs, 'ada', gpus);
        const worker = await offering(compute, { ...offers, dedicated: ['trainer'] }, 1);
        const claim = await worker.claim(1);
        t.is(claim?.order, fits ? id : undefined, JSON.stringify({ needs, gpus }));
      }
    }
    t.like((await compute.api.listWorkers({})).items[0], { dedicated: ['trainer'] });
    await t.throwsAsync(offering(compute, { ...zone('a'), dedicated: ['trainer'] }), {
      code: 'invalid_request',
      message: 'A worker may be dedicated to its own labels alone, and has no label trainer.',
    });
  },
);

testOnEngines(
  'Orders that are not for a dedicated worker are in nobody’s way there',
  async (t, openTestCompute) => {
    await using compute = await openTestCompute();
    const dedicated = await offering(compute, { labels: { trainer: '1' }, dedicated: ['trainer'] });
    const able = await offering(compute, { labels: { trainer: '1' } });
    const plain = [await order(compute), await order(compute, {}, 'bob')];
    const training = await order(compute, { labels: { trainer: '1' } }, 'cyd');
    t.is((await dedicated.mustClaim()).order, training);
    t.is(await dedicated.claim(), null);
    const claims = [await able.mustClaim(), await able.mustClaim()];
    t.deepEqual(new Set(claims.map((claim) => claim.order)), new Set(plain));
  },
);

testOnEngines('Why says that all workers are dedicated to other orders', async (t, openTestCompute) => {
  await using compute = await openTestCompute();
  const offers = { labels: { trainer: '1', zone: 'a' }, dedicated: ['trainer'] };
  const dedicated = await offering(compute, offers);
  const id = await order(compute);
  t.deepEqual(await why(compute, id), {
    code: 'workers_dedicated',
    sentence:
      'Every living worker for learn orders is dedicated to orders that need the label trainer=1, which it does not. Start one that is not, or cancel it and order it again with that need.',
  });
  const inZone = await order(compute, zone('a'));
  t.like(await why(compute, inZone), {
    code: 'workers_dedicated',
    sentence:
      'Every living worker for learn orders that offers the label zone=a is dedicated to orders that need the label trainer=1, which it does not. Start one that is not, or cancel it and order it again with that need.',
  });
  t.like(await compute.api.getOrder({ params: { id } }), {
    queue: { basis: 'No basis: no worker for learn orders that takes orders without needs is alive.' },
  });
  const training = await order(compute, { labels: { trainer: '1' } });
  t.like(await why(compute, training), { code: 'workers_busy' });
  t.is((await dedicated.mustClaim()).order, training);
  await offering(compute, zone('b'));
  t.like(await why(compute, id), { code: 'workers_busy' });
  t.like(await why(compute, inZone), { code: 'workers_dedicated' });
});

/** What workers offer and orders need in the trials of the model. */
const TERMS: readonly NamedTerms[] = [
  {},
  zone('a'),
  zone('b'),
  { arch: 'amd64' },
  { arch: 'amd64', ...zone('a') },
];

/** Start-time fair queueing of one kind among owners of weight 1, as a plain program. */
class Model {
  readonly #due: { id: string; owner: string; terms: string[] }[];
  readonly #finish = new Map<string, number>();
  #now = 0;

  constructor(due: { id: string; owner: string; terms: string[] }[]) {
    this.#due = due;
  }

  claim(offers: readonly string[], demands: readonly string[]): string | undefined {
    const fit = this.#due.filter(
      ({ terms }) =>
        terms.every((term) => offers.includes(term)) && demands.every((term) => terms.includes(term)),
    );
    const tagOf = ({ owner }: { owner: string }) => Math.max(this.#finish.get(owner) ?? 0, this.#now);
    const [next] = fit.toSorted((a, b) => tagOf(a) - tagOf(b));
    if (next === undefined) return undefined;
    const others = [...this.#finish].filter(([owner]) => owner !== next.owner);
    if (fit.some(({ owner }) => owner !== next.owner) || others.some(([, tag]) => tag > this.#now)) {
      this.#now = tagOf(next);
      this.#finish.set(next.owner, this.#now + 1);
    }
    this.#due.splice(this.#due.indexOf(next), 1);
    return next.id;
  }
}

testOnEngines('Claims are those of a plain model', async (t, openTestCompute, engine) => {
  await using compute = await openTestCompute();
  const workers: TestWorker[] = [];
  const offered: TestOffers[] = [
    ...(TERMS as TestOffers[]),
    { arch: 'amd64', ...zone('a'), dedicated: ['zone'] },
  ];
  for (const offers of offered) workers.push(await offering(compute, offers));
  const cases = fc.record({
    orders: fc.array(fc.record({ owner: fc.constantFrom('a', 'b', 'c'), needs: fc.constantFrom(...TERMS) }), {
      minLength: 4,
      maxLength: 10,
    }),
    claims: fc.array(fc.nat({ max: offered.length - 1 }), { minLength: 12, maxLength: 12 }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ orders, claims }) => {
      await emptyQueue(compute);
      const due: ConstructorParameters<typeof Model>[0] = [];
      for (const [n, { owner, needs }] of orders.entries()) {
        await seedQueue(compute, owner, 1, { needs });
        const order = compute.database.write(
          async (tx) =>
            await tx
              .updateTable('orders')
              .set({ turn_at: n })
              .where('status', '=', 'todo')
              .where('turn_at', '>', orders.length)
              .returning('id')
              .executeTakeFirstOrThrow(),
        );
        due.push({ id: (await order).id, owner, terms: termsOf(needs) });
      }
      const model = new Model(due);
      for (const n of claims) {
        const claim: Claim | null | undefined = await workers[n]?.claim();
        const { dedicated = [], ...offers } = offered[n] ?? {};
        const demands = dedicated.length === 0 ? [] : termsOf(zone('a'));
        t.is(
          claim?.order,
          model.claim(termsOf(offers as NamedTerms), demands),
          JSON.stringify({ orders, claims }),
        );
      }
    }),
    { numRuns: engine === 'sqlite' ? 20 : 4 },
  );
});
