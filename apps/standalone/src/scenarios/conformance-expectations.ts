import { text } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import type { OrderView } from '@morpheo/common';
import { eventually } from '@morpheo/service/testing';
import type { ExecutionContext } from 'ava';
import { extract } from 'tar-stream';
import type { Platform } from '../platform.ts';
import type { Expectation } from './scenario.ts';

type Apis = Pick<Platform, 'storage' | 'compute'>;

/** Whether an order ended as the scenario says, with its result, its log and what the orchestrator heard. */
export async function meets(
  t: ExecutionContext,
  platform: Apis,
  view: OrderView,
  expected: Expectation,
): Promise<void> {
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
  if (expected.log !== undefined) t.true((await logOf(platform, view)).includes(expected.log));
  if (expected.model !== undefined) t.deepEqual(await modelOf(platform, view), expected.model);
  if (expected.prediction !== undefined)
    t.is((await blobOf(platform, 'prediction', view)).toString(), expected.prediction);
  if (expected.outputs !== undefined) t.deepEqual(await outputsOf(platform, view), expected.outputs);
  if (view.status === 'failed' && view.model_end !== undefined) {
    const model = { params: { type: 'model' as const, uuid: view.model_end } };
    await t.throwsAsync(platform.storage.get(model), { code: 'not_found' });
  }
  await orchestratorNotified(t, platform, view);
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

/** The orchestrator hears that the order was taken, if it was, and then how it ended, once each; of a job nothing. */
async function orchestratorNotified(t: ExecutionContext, platform: Apis, view: OrderView): Promise<void> {
  const end = view.kind === 'learn' ? 'tell_learn' : 'tell_predict';
  const heard = view.attempts.length === 0 ? [end] : ['tell_taken', end];
  const expected = view.kind === 'job' ? [] : heard;
  const notices = async (): Promise<unknown[]> => {
    const events = await Array.fromAsync(
      await platform.compute.orderEvents({ params: { id: view.id }, headers: {} }),
    );
    return events.filter((event) => event.event === 'told').map((event) => event.data.details.what);
  };
  await eventually(t, async (t) => t.deepEqual([...new Set(await notices())], expected));
}

async function logOf(platform: Apis, view: OrderView): Promise<string> {
  const log = await platform.compute.orderLog({ params: { id: view.id }, query: {} });
  return await new Response(log.body ?? null).text();
}

async function modelOf(platform: Apis, view: OrderView): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  const archive = extract();
  archive.end(gunzipSync(await blobOf(platform, 'model', view)));
  for await (const entry of archive) files[entry.header.name] = await text(entry);
  return files;
}

async function outputsOf({ storage }: Apis, view: OrderView): Promise<Record<string, string>> {
  const params = { uuid: view.result?.uuid ?? '' };
  const files: Record<string, string> = {};
  for (const { path } of (await storage.listOutputFiles({ params, query: {} })).items) {
    const { body } = await storage.getOutputFile({ params, query: { path }, headers: {} });
    files[path] = await new Response(body ?? null).text();
  }
  return files;
}

async function blobOf(platform: Apis, type: 'model' | 'prediction', view: OrderView): Promise<Buffer> {
  const params = { type, uuid: view.result?.uuid ?? '' };
  const blob = await platform.storage.getBlob({ params, headers: {} });
  return Buffer.from(await new Response(blob.body ?? null).arrayBuffer());
}
