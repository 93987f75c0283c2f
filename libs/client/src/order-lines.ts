import {
  type Api,
  type BatchAnswer,
  batchAnswer,
  type Call,
  type ComputeContract,
  MOST_IN_BATCH,
} from '@morpheo/common';
import { readText } from './read-text.ts';
import { misfit, type Where } from './where.ts';

/** So many bytes of answers are awaited at the most: each has a short reason. */
const MOST_ANSWERS = 64 * 1024 * 1024;

/**
 * Orders any number of things, each a line of JSON (`{"kind":"predict","uplet":{…}}`), in batches of as many as one may
 * have, one after another. Yields what was answered to each that is not empty, in their order, once its batch is on disk;
 * `line` counts all lines from 1. Throws as any call does; what was answered until then is taken in, and all may be sent
 * again.
 */
export async function* orderLines(
  compute: Pick<Api<ComputeContract>, 'postOrders'>,
  lines: AsyncIterable<string> | Iterable<string>,
  call?: Call,
): AsyncGenerator<BatchAnswer> {
  let before = 0;
  for await (const batch of batchesOf(lines)) {
    for (const answer of await post(compute, batch, call)) yield { ...answer, line: before + answer.line };
    before += batch.length;
  }
}

async function* batchesOf(lines: AsyncIterable<string> | Iterable<string>): AsyncGenerator<string[]> {
  let batch: string[] = [];
  for await (const line of lines) {
    batch.push(line);
    if (batch.length < MOST_IN_BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

async function post(
  compute: Pick<Api<ComputeContract>, 'postOrders'>,
  batch: readonly string[],
  call: Call | undefined,
): Promise<BatchAnswer[]> {
  const blob = new Blob(batch.map((line) => `${line.trim()}\n`));
  const { body } = await compute.postOrders({ body: { body: blob.stream(), blob } }, call);
  const where: Where = { method: 'POST', url: 'a batch of orders', signal: call?.signal };
  const text = await readText(new Response(body ?? null), MOST_ANSWERS, where);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const result = batchAnswer.safeParse(JSON.parse(line));
      if (result.success) return result.data;
      throw misfit(where, result.error.issues[0], result.error);
    });
}
