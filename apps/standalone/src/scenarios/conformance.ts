import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DEFAULT_LIMITS } from '@morpheo/compute-worker';
import { memoryLog } from '@morpheo/service/log';
import ava, { type TestFn } from 'ava';
import type { Platform, PlatformOptions } from '../platform.ts';
import { SCENARIO_DISK } from './archives.ts';
import { meets } from './conformance-expectations.ts';
import { runScenario } from './run-scenario.ts';
import { scenario } from './scenario.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));

/** A platform that all scenarios are run against. */
export interface ScenarioPlatform {
  /** Starts it; what it needs beside is ended with it. */
  readonly start: (options: PlatformOptions) => Promise<Platform>;
  /** ava's `test`, or a skip where the platform's parts are not on this machine. */
  readonly test?: TestFn;
  /** How long a container may run. */
  readonly wallMs: number;
}

/** Runs every scenario against the platform, and looks afterwards whether anything is left over. */
export function testScenarios({ start, test = ava, wallMs }: ScenarioPlatform): void {
  const home = mkdtempSync(join(tmpdir(), 'morpheo-scenarios-'));
  const log = memoryLog();
  let started: Promise<Platform> | undefined;
  const platform = async (): Promise<Platform> => {
    started ??= start({
      folder: home,
      slots: { learn: 2, predict: 1, job: 1 },
      worker: { limits: limits(wallMs) },
      log,
    });
    return await started;
  };
  for (const name of readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .toSorted()) {
    const one = scenario.parse(JSON.parse(readFileSync(join(FOLDER, name), 'utf8')));
    test(`${name.slice(0, 2)} ${one.title}`, async (t) => {
      // All of them begin at once, and wait for one another.
      t.timeout(900_000);
      const orders = await runScenario(one, await platform());
      for (const [order, expected] of Object.entries(one.expect)) {
        const view = orders.get(order);
        if (view === undefined) t.fail(`there is no order ${order}`);
        else await meets(t, await platform(), view, expected);
      }
    });
  }
  ava.after.always(
    'After all of it nothing is left over, and the platform is as healthy as before',
    async (t) => {
      t.timeout(300_000);
      if (started !== undefined) {
        await using stack = new AsyncDisposableStack();
        const running = stack.use(await started);
        const { counts } = await running.compute.getQueue({});
        for (const status of ['waiting', 'todo', 'pending']) t.is(counts[status] ?? 0, 0, status);
        const ready = await fetch(`${running.connection.compute}/ready`);
        t.is(ready.status, 200, await ready.text());
        await running.drain();
        t.deepEqual(await readdir(join(running.workerFolder, 'work')), []);
      }
      t.deepEqual(
        log.entries.filter((entry) => entry.level === 'error'),
        [],
      );
      await rm(home, { recursive: true });
    },
  );
}

function limits(wallMs: number) {
  return {
    ...DEFAULT_LIMITS,
    wallMs: { learn: wallMs, predict: wallMs, job: wallMs },
    run: { ...DEFAULT_LIMITS.run, ...SCENARIO_DISK, outputBytes: 2 ** 20, memoryBytes: 512 * 2 ** 20 },
  };
}
