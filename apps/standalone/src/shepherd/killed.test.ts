import { randomUUID } from 'node:crypto';
import { randomFrom, sampleSize } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { openShepherdCluster, type ShepherdCluster } from './testing/cluster.ts';

const JOBS = sampleSize('SHEPHERD_JOBS', { small: 24, full: 1000 });
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
/** How many customers there are at a time, and each how many jobs may fail on purpose: one of so many. */
const [CUSTOMERS, FAILING] = [8, 5] as const;
/** Jobs between two kills, about. */
const JOBS_PER_KILL = 6;

test('Jobs are done once, and whoever waits hears of it, though all that works on them is killed again and again', async (t) => {
  t.timeout(1_800_000);
  t.log(`SEED=${SEED} replays who is killed`);
  await using cluster = await openShepherdCluster();
  const jobs = Array.from({ length: JOBS }, (_, n) => jobOf(n));
  const waiting = jobs.values();
  const random = randomFrom(SEED);
  const names = Object.keys(cluster.mortal);
  // In turn: a small sample spares nobody.
  const first = names.indexOf(random.pick(names));
  const kills: string[] = [];
  const heard = new Map<string, Heard>();
  let turn: Promise<void> = Promise.resolve();
  await Promise.all(
    Array.from({ length: CUSTOMERS }, async () => {
      for (const { job, payload } of waiting) {
        heard.set(job, await doJob(cluster, job, payload));
        if (heard.size % JOBS_PER_KILL !== 0) continue;
        const name = names[(first + kills.length) % names.length] ?? '';
        kills.push(name);
        turn = turn.then(async () => await cluster.restart(name));
      }
    }),
  );
  await turn;

  for (const { job, payload } of jobs) {
    const { status, result } = heard.get(job) ?? {};
    if ('fail' in payload) {
      t.is(status, 'failed', job);
      t.regex(String(result), new RegExp(payload.fail), job);
    } else t.deepEqual([status, result], ['done', JSON.stringify({ result: payload.input })], job);
  }
  await eventually(t, async (t) => t.deepEqual(await endsOf(cluster), { orders: JOBS, ends: JOBS }));
  t.log(
    `${JOBS} jobs, ${kills.length} kills: ${names.map((name) => `${name} ${kills.filter((one) => one === name).length}`).join(', ')}`,
  );
  t.true(kills.length >= Math.floor(JOBS / JOBS_PER_KILL));
  t.is(new Set(kills).size, names.length);
});

/** What one asks for: now and then something that fails. */
function jobOf(n: number): { readonly job: string; readonly payload: { fail: string } | { input: string } } {
  const payload = n % FAILING === FAILING - 1 ? { fail: `as job ${n} has to` } : { input: `of job ${n}` };
  return { job: randomUUID(), payload };
}

/** What a customer was told at the end. */
interface Heard {
  readonly status: string;
  readonly result: string;
}

/** Starts a job, waits for its end, and fetches its result, as a client does that asks again where nobody answers. */
async function doJob({ url, model }: ShepherdCluster, job: string, payload: object): Promise<Heard> {
  const body = JSON.stringify({ job_id: job, model: { name: model }, payload: JSON.stringify(payload) });
  const headers = { 'content-type': 'application/json' };
  // 409: it was started, and nobody was left to say so.
  await answered(`${url}/start-job`, [200, 409], { method: 'POST', headers, body });
  const ready = await answered(`${url}/jobs/${job}/wait_ready`, [200]);
  const { status } = JSON.parse(ready) as { status: string };
  return { status, result: await answered(`${url}/jobs/${job}/result`, [200, 500]) };
}

/** Asks until the answer has one of these statuses. */
async function answered(url: string, statuses: readonly number[], init?: RequestInit): Promise<string> {
  for (;;) {
    try {
      const answer = await fetch(url, init);
      const text = await answer.text();
      if (statuses.includes(answer.status)) return text;
      if (![500, 503, 504].includes(answer.status)) throw new Refused(`${url}: ${answer.status} ${text}`);
    } catch (error) {
      if (error instanceof Refused) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

class Refused extends Error {}

/** How many orders there are, and how often one of them has ended. */
async function endsOf({ compute }: ShepherdCluster): Promise<{ orders: number; ends: number }> {
  let [orders, ends] = [0, 0];
  let cursor: string | undefined;
  do {
    const page = await compute.listOrders({ query: { limit: 200, cursor } });
    for (const { id } of page.items) {
      const events = await Array.fromAsync(await compute.orderEvents({ params: { id }, headers: {} }));
      orders += 1;
      ends += events.filter(({ event }) => ['done', 'failed', 'cancelled'].includes(event)).length;
    }
    cursor = page.next;
  } while (cursor !== undefined);
  return { orders, ends };
}
