import { randomUUID } from 'node:crypto';
import { PlatformError } from '@morpheo/common';
import { z } from 'zod';
import { type Document, type DocumentsTx, documents } from './documents.ts';

const problemDocument = z.looseObject({
  uuid: z.string(),
  workflow: z.string(),
  test_dataset: z.array(z.string()),
  size_train_dataset: z.int(),
});

/** A problem as the orchestrator knows it. */
export type Problem = z.infer<typeof problemDocument>;

const learnupletDocument = z.looseObject({
  uuid: z.string(),
  algo: z.string(),
  model_start: z.string().nullable(),
  model_end: z.string(),
  rank: z.int(),
  status: z.string(),
  perf: z.number().nullable(),
});

/** A training order as the orchestrator keeps it, and posts it. */
export type LearnupletDocument = z.infer<typeof learnupletDocument>;

/** Reads a learnuplet of the collection. */
export function asLearnuplet(document: Document): LearnupletDocument {
  return learnupletDocument.parse(document);
}

/** The problem of that uuid, or undefined. */
export async function findProblem(tx: DocumentsTx, uuid: string): Promise<Problem | undefined> {
  const document = await documents.find(tx, 'problem', uuid);
  return document === undefined ? undefined : problemDocument.parse(document);
}

/**
 * Cuts training data into batches and adds a learnuplet for each: ranks count on from `firstRank`, and each starts
 * from the model that the rank before it makes. The first is posted at once if its start is known. Returns how many.
 */
export async function addLearnuplets(
  tx: DocumentsTx,
  problem: Problem,
  algo: string,
  data: readonly string[],
  first: { readonly rank: number; readonly modelStart: string | null },
): Promise<number> {
  const batches = cut(data, problem.size_train_dataset);
  for (const [index, train] of batches.entries()) {
    const start = index === 0 ? first.modelStart : null;
    await documents.add(
      tx,
      'learnuplet',
      learnuplet(problem, algo, train, first.rank + index, start),
      start !== null,
    );
  }
  return batches.length;
}

/**
 * What follows a learnuplet that is done: the next rank of its algorithm starts from the best model so far, and is
 * posted. Nothing follows the last rank, or a rank that was posted before.
 */
export async function startNextRank(tx: DocumentsTx, done: LearnupletDocument): Promise<void> {
  const chain = (await documents.list(tx, 'learnuplet', { algo: done.algo })).map(asLearnuplet);
  const next = chain.find((uplet) => uplet.rank === done.rank + 1);
  if (next === undefined || next.model_start !== null) return;
  const scored = chain.filter((uplet) => uplet.status === 'done');
  const start = bestOf(done, scored).model_end;
  await documents.replace(tx, 'learnuplet', { ...next, model_start: start }, true);
}

/** The learnuplet with the best score; the earlier one of equals. */
export function bestOf(first: LearnupletDocument, others: readonly LearnupletDocument[]): LearnupletDocument {
  return others.reduce((a, b) => ((b.perf ?? -Infinity) > (a.perf ?? -Infinity) ? b : a), first);
}

function learnuplet(
  problem: Problem,
  algo: string,
  train: readonly string[],
  rank: number,
  modelStart: string | null,
): Document {
  return {
    uuid: randomUUID(),
    problem: problem.uuid,
    workflow: problem.workflow,
    algo,
    model_start: modelStart,
    model_end: randomUUID(),
    train_data: train,
    test_data: problem.test_dataset,
    worker: null,
    perf: null,
    train_perf: null,
    test_perf: null,
    status: 'todo',
    rank,
    timestamp_creation: unixSeconds(),
    timestamp_done: null,
  };
}

/** The answer 400 to a call that the orchestrator does not take. */
export function refused(text: string): PlatformError {
  return new PlatformError('invalid_request', text);
}

/** The time as the orchestrator writes it. */
export function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

function cut(data: readonly string[], size: number): string[][] {
  return Array.from({ length: Math.ceil(data.length / size) }, (_, batch) =>
    data.slice(batch * size, (batch + 1) * size),
  );
}
