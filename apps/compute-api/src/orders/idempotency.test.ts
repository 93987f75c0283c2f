import { computeClient } from '@morpheo/client';
import type { Learnuplet } from '@morpheo/common';
import test from 'ava';
import { type ComputeProcess, computeProcess } from '../testing/compute-process.ts';
import { aLearnuplet } from '../testing/orders.ts';

/** More for a longer run: `KEYS=10000`. */
const KEYS = Number(process.env.KEYS ?? 200);
const CALLERS = 8;
/** So many orders are posted at once, and the process is killed once among them. */
const AT_ONCE = 20;

/** The status of the answer; null where none came. */
async function post({ url }: ComputeProcess, body: Learnuplet): Promise<number | null> {
  try {
    const answer = await fetch(`${url}/learn`, { method: 'POST', body: JSON.stringify(body) });
    await answer.body?.cancel();
    return answer.status;
  } catch {
    return null;
  }
}

async function stored({ url }: ComputeProcess): Promise<Set<string>> {
  const api = computeClient({ url });
  const ids = new Set<string>();
  for (let cursor: string | undefined; ; ) {
    const page = await api.listOrders({ query: { limit: 200, ...(cursor === undefined ? {} : { cursor }) } });
    for (const { id } of page.items) ids.add(id);
    if (page.next === undefined) return ids;
    cursor = page.next;
  }
}

test('An order that many post at once is one order, also where the service dies before it answers', async (t) => {
  t.timeout(600_000);
  await using service = await computeProcess();
  await service.start();
  const keys = Array.from({ length: KEYS }, () => aLearnuplet());
  const unheard = { orders: 0, calls: 0 };
  for (let from = 0; from < KEYS; from += AT_ONCE) {
    const bodies = keys.slice(from, from + AT_ONCE);
    const heard = new Set<string>();
    const cut: string[] = [];
    const killed = service.killAtWrite();
    const calls = bodies.flatMap((body) =>
      Array.from({ length: CALLERS }, async () => {
        const status = await post(service, body);
        if (status === 202) heard.add(body.uuid);
        else cut.push(body.uuid);
        t.true(status === 202 || status === null, `answered ${status}`);
      }),
    );
    await killed;
    await Promise.all(calls);
    await service.start();
    const kept = await stored(service);
    t.deepEqual(
      [...heard].filter((id) => !kept.has(id)),
      [],
      'what was answered is there',
    );
    unheard.orders += bodies.filter(({ uuid }) => kept.has(uuid) && !heard.has(uuid)).length;
    unheard.calls += cut.filter((id) => kept.has(id)).length;
    const again = bodies.flatMap((body) =>
      Array.from({ length: CALLERS }, async () => await post(service, body)),
    );
    t.deepEqual(new Set(await Promise.all(again)), new Set([202]));
    await othersConflict(t.is.bind(t), service, bodies);
  }
  t.log(
    `${KEYS} orders, ${Math.ceil(KEYS / AT_ONCE)} kills: ${unheard.calls} calls were cut off whose order was on disk; ` +
      `of ${unheard.orders} orders nobody had heard so`,
  );
  t.true(unheard.calls > 0, 'no kill came between commit and answer');
  const kept = await stored(service);
  t.is(kept.size, KEYS);
  t.deepEqual(
    keys.filter(({ uuid }) => !kept.has(uuid)),
    [],
  );
  await oncePlaced(t.deepEqual.bind(t), service, keys);
});

test('Of two orders under one uuid that are posted at once one wins, and every post of the other conflicts', async (t) => {
  await using service = await computeProcess();
  await service.start();
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      const one = aLearnuplet();
      const other = { ...one, problem: aLearnuplet().problem };
      const answers = await Promise.all(
        [one, other].map(
          async (body) => await Promise.all(Array.from({ length: 4 }, async () => await post(service, body))),
        ),
      );
      const kinds = answers.map((statuses) => new Set(statuses));
      t.deepEqual(
        kinds.map((kind) => kind.size),
        [1, 1],
      );
      t.deepEqual(
        kinds.flatMap((kind) => [...kind]).sort((a, b) => Number(a) - Number(b)),
        [202, 409],
      );
    }),
  );
});

async function othersConflict(
  is: (actual: unknown, expected: unknown) => unknown,
  service: ComputeProcess,
  bodies: readonly Learnuplet[],
): Promise<void> {
  await Promise.all(
    bodies.map(async (body) => is(await post(service, { ...body, algo: aLearnuplet().algo }), 409)),
  );
}

async function oncePlaced(
  same: (actual: unknown, expected: unknown) => unknown,
  { url }: ComputeProcess,
  keys: readonly Learnuplet[],
): Promise<void> {
  const api = computeClient({ url });
  for (const { uuid: id } of keys) {
    const order = await api.getOrder({ params: { id } });
    same(
      { id: order.id, attempt: order.attempt, status: order.status },
      { id, attempt: 0, status: 'waiting' },
    );
  }
}
