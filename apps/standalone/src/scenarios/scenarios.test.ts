import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type { OrderView } from '@morpheo/common';
import { DEFAULT_LIMITS } from '@morpheo/compute-worker';
import { memoryLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test, { type ExecutionContext } from 'ava';
import { extract } from 'tar-stream';
import { startPlatform } from '../platform.ts';
import { SCENARIO_DISK } from './archives.ts';
import { runScenario } from './run-scenario.ts';
import { type Expectation, scenario } from './scenario.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const home = await mkdtemp(join(tmpdir(), 'morpheo-scenarios-'));
const log = memoryLog();
const platform = await startPlatform({
  folder: home,
  slots: { learn: 2, predict: 1 },
  worker: {
    limits: {
      ...DEFAULT_LIMITS,
      wallMs: { learn: 8000, predict: 8000 },
      run: { ...DEFAULT_LIMITS.run, ...SCENARIO_DISK, outputBytes: 2 ** 20, memoryBytes: 512 * 2 ** 20 },
    },
  },
  log,
});

const names = (await readdir(FOLDER)).filter((name) => name.endsWith('.json')).toSorted();
const scenarios = await Promise.all(
  names.map(async (name) => {
    const one = scenario.parse(JSON.parse(await readFile(join(FOLDER, name), 'utf8')));
    return { ...one, title: `${name.slice(0, 2)} ${one.title}` };
  }),
);

for (const one of scenarios) {
  test(one.title, async (t) => {
    t.timeout(120_000);
    const orders = await runScenario(one, platform);
    for (const [order, expected] of Object.entries(one.expect)) {
      const view = orders.get(order);
      if (view === undefined) t.fail(`there is no order ${order}`);
      else await meets(t, view, expected);
    }
  });
}

test.after.always(
  'After all of it nothing is left over, and the platform is as healthy as before',
  async (t) => {
    t.timeout(60_000);
    const { counts } = await platform.compute.getQueue({});
    for (const status of ['waiting', 'todo', 'pending']) t.is(counts[status] ?? 0, 0, status);
    const ready = await fetch(`${platform.connection.compute}/ready`);
    t.is(ready.status, 200, await ready.text());
    await platform.drain();
    t.deepEqual(await readdir(join(home, 'worker', 'work')), []);
    await platform[Symbol.asyncDispose]();
    const errors = log.entries.filter((entry) => entry.level === 'error');
    t.deepEqual(errors, []);
    await rm(home, { recursive: true });
  },
);

async function meets(t: ExecutionContext, view: OrderView, expected: Expectation): Promise<void> {
  const shown = JSON.stringify(view.failure);
  t.is(view.status, expected.status, shown);
  if (expected.attempts !== undefined) t.is(view.attempts.length, expected.attempts);
  if (expected.perf !== undefined) t.is(view.result?.performance?.perf, expected.perf);
  if (expected.steps !== undefined) {
    t.deepEqual(
      view.attempts
        .at(-1)
        ?.steps.map((step) => step.step)
        .toSorted(),
      expected.steps.toSorted(),
    );
  }
  meetsFailure(t, view, expected.failure, shown);
  if (expected.log !== undefined) t.true((await logOf(view)).includes(expected.log));
  if (expected.model !== undefined) t.deepEqual(await modelOf(view), expected.model);
  if (expected.prediction !== undefined)
    t.is((await blobOf('prediction', view)).toString(), expected.prediction);
  if (view.status === 'failed' && view.model_end !== undefined) {
    const model = { params: { type: 'model' as const, uuid: view.model_end } };
    await t.throwsAsync(platform.storage.get(model), { code: 'not_found' });
  }
  await wasTold(t, view);
}

function meetsFailure(
  t: ExecutionContext,
  view: OrderView,
  expected: Expectation['failure'],
  shown: string | undefined,
): void {
  if (expected === undefined) return;
  const { failure } = view;
  t.is(failure?.reason, expected.reason, shown);
  if (expected.step !== undefined) t.is(failure?.step, expected.step, shown);
  if (expected.exit_code !== undefined) t.is(failure?.exit_code, expected.exit_code);
  if (expected.message !== undefined) t.true(failure?.message.includes(expected.message), shown);
  if (expected.log_tail !== undefined)
    t.true(failure?.log_tail?.join('\n').includes(expected.log_tail), shown);
}

/** The orchestrator hears that the order was taken, if it was, and then how it ended, once each. */
async function wasTold(t: ExecutionContext, view: OrderView): Promise<void> {
  const end = view.kind === 'learn' ? 'tell_learn' : 'tell_predict';
  const expected = view.attempts.length === 0 ? [end] : ['tell_taken', end];
  const told = async (): Promise<unknown[]> => {
    const events = await Array.fromAsync(
      await platform.compute.orderEvents({ params: { id: view.id }, headers: {} }),
    );
    return events.filter((event) => event.event === 'told').map((event) => event.data.details.what);
  };
  await eventually(t, async (t) => t.deepEqual([...new Set(await told())], expected));
}

async function logOf(view: OrderView): Promise<string> {
  const log = await platform.compute.orderLog({ params: { id: view.id }, query: {} });
  return await new Response(log.body ?? null).text();
}

async function modelOf(view: OrderView): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  const archive = extract();
  archive.end(gunzipSync(await blobOf('model', view)));
  for await (const entry of archive) files[entry.header.name] = await text(entry);
  return files;
}

async function blobOf(type: 'model' | 'prediction', view: OrderView): Promise<Buffer> {
  const params = { type, uuid: view.result?.uuid ?? '' };
  const blob = await platform.storage.getBlob({ params, headers: {} });
  return Buffer.from(await new Response(blob.body ?? null).arrayBuffer());
}
