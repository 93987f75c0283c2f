import { randomUUID } from 'node:crypto';
import { computeContract, decodeGoJson, learnuplet } from '@morpheo/common';
import { COMPUTE_DEFAULTS, migrations, type Schema, startCompute } from '@morpheo/compute-api';
import { openMemoryBroker } from '@morpheo/service/broker';
import { openSqlite } from '@morpheo/service/database';
import { silentLog } from '@morpheo/service/log';

const P = randomUUID(),
  W = randomUUID(),
  A = Array.from({ length: 8 }, () => randomUUID());
function body() {
  const a = A[(Math.random() * 8) | 0]!;
  return JSON.stringify({
    uuid: randomUUID(),
    problem: P,
    workflow: W,
    algo: a,
    model_start: a,
    model_end: randomUUID(),
    train_data: [P],
    test_data: [W],
    rank: 0,
    status: 'todo',
  });
}
const N = 20000;
async function measure(name: string, n: number, f: (n: number) => Promise<void> | void) {
  let best = 1e9,
    bw = 1e9;
  for (let i = 0; i < 5; i++) {
    const c = process.cpuUsage(),
      t = performance.now();
    await f(n);
    const d = process.cpuUsage(c);
    best = Math.min(best, (d.user + d.system) / n);
    bw = Math.min(bw, ((performance.now() - t) * 1e3) / n);
  }
  console.log(name.padEnd(30), 'cpu µs', best.toFixed(1), 'wall µs', bw.toFixed(1));
}
await measure('make body', N, (n) => {
  for (let i = 0; i < n; i++) body();
});
const bodies = Array.from({ length: N }, body);
await measure('JSON.parse', N, (n) => {
  for (let i = 0; i < n; i++) JSON.parse(bodies[i]!);
});
await measure('decodeGoJson', N, (n) => {
  for (let i = 0; i < n; i++) decodeGoJson(bodies[i]!, learnuplet);
});
for (const publish of [true]) {
  const database = await openSqlite<Schema>({ file: process.argv[2] ?? ':memory:', migrations });
  const broker = openMemoryBroker();
  const compute = startCompute({
    database,
    broker,
    storage: {} as never,
    orchestrator: undefined,
    settings: COMPUTE_DEFAULTS,
    log: silentLog,
  });
  await measure('empty write x64', N, async (n) => {
    for (let i = 0; i < n; i += 64)
      await Promise.all(Array.from({ length: 64 }, () => database.write(async () => 1)));
  });
  await measure('api.learn x64 (db, relay)', 10000, async (n) => {
    for (let i = 0; i < n; i += 64)
      await Promise.all(
        Array.from({ length: 64 }, () =>
          compute.api.learn({ body: decodeGoJson(body(), learnuplet) as never }),
        ),
      );
  });
  await compute[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
}
