import { isPlatformError, type OrderView } from '@morpheo/common';
import type { Log } from '@morpheo/service/log';
import { callPeer, type StorageCalls } from '../clients.ts';
import type { JobStore } from '../store/store.ts';
import { dataOf, outputOf } from './ids.ts';
import { INPUTS } from './inputs.ts';

/** Where the outputs of a job lie in its bucket, and what the usual one is called; the last is of the original's README. */
export const OUTPUTS = { prefix: 'outputs/', usual: 'output', older: 'outputs.json' } as const;

/** The longest name of a file in a bucket of S3, in bytes; paths of outputs may be longer. */
const MOST_NAME_BYTES = 1024;

/** How many files of outputs are on their way at a time. */
const AT_ONCE = 4;

/** What the outputs of jobs are moved with. */
export interface EndParts {
  readonly store: JobStore;
  readonly storage: Omit<StorageCalls, 'upload'>;
  readonly log: Log;
}

/**
 * Copies what a job left from storage into its bucket. What is not on storage any more was copied before. Resolves to what is
 * wrong where a file has a name that none of a bucket can have; all others are there then. Throws `not_found` where there is
 * no such bucket.
 */
export async function copyOutputs(
  parts: EndParts,
  job: string,
  order: OrderView,
): Promise<string | undefined> {
  const names: string[] = [];
  let unfit: string | undefined;
  let cursor: string | undefined;
  do {
    const page = await outputPage(parts, job, cursor);
    const fit = page.items.filter(
      ({ path }) => Buffer.byteLength(`${OUTPUTS.prefix}${path}`) <= MOST_NAME_BYTES,
    );
    unfit ??= page.items.find((item) => !fit.includes(item))?.path;
    for (let at = 0; at < fit.length; at += AT_ONCE) {
      const some = fit.slice(at, at + AT_ONCE);
      await Promise.all(
        some.map(async ({ path }) => await copyFile(parts, job, path, `${OUTPUTS.prefix}${path}`)),
      );
    }
    names.push(...fit.map(({ path }) => path));
    cursor = page.next;
  } while (cursor !== undefined);
  await copyAnswer(parts, job, order, names);
  if (unfit === undefined) return undefined;
  const most = MOST_NAME_BYTES - OUTPUTS.prefix.length;
  return `The job left a file whose path has more than ${most} bytes, which no bucket can have: ${unfit.slice(0, 100)}…`;
}

/** Copies the answer of a job once more, for one whose input has the older name. */
async function copyAnswer(
  parts: EndParts,
  job: string,
  order: OrderView,
  names: readonly string[],
): Promise<void> {
  if (names.length === 0 || !(await hasOlderInput(parts.store, job, order))) return;
  const answer = [OUTPUTS.usual, 'output.json', ...(names.length === 1 ? names : [])].find((name) =>
    names.includes(name),
  );
  if (answer === undefined) return;
  if (answer !== OUTPUTS.usual) await copyFile(parts, job, answer, `${OUTPUTS.prefix}${OUTPUTS.usual}`);
  await copyFile(parts, job, answer, OUTPUTS.older);
}

async function outputPage({ storage }: EndParts, job: string, cursor: string | undefined) {
  const input = { params: { uuid: outputOf(job) }, query: { cursor, limit: 1000 } };
  try {
    return await callPeer(async (signal) => await storage.listOutputFiles(input, { signal }));
  } catch (error) {
    if (isPlatformError(error, 'not_found')) return { items: [], next: undefined };
    throw error;
  }
}

async function copyFile(
  { store, storage }: EndParts,
  job: string,
  path: string,
  name: string,
): Promise<void> {
  const file = await storage.getOutputFile({ params: { uuid: outputOf(job) }, query: { path }, headers: {} });
  await store.write(job, name, file.body ?? new Blob([]).stream());
}

/** Whether the input of a job has the older name alone: it was given to its runner by both. */
async function hasOlderInput(store: JobStore, job: string, { job: placed }: OrderView): Promise<boolean> {
  const paths = placed?.inputs.map(({ path }) => path) ?? [];
  const both = [INPUTS.usual, INPUTS.older].every((name) => paths.includes(`/in/${name}`));
  return both && (await store.stat(job, `${INPUTS.prefix}${INPUTS.usual}`)) === undefined;
}

/** Removes from storage what a job that has ended had there. What cannot be removed is left, and logged. */
export async function cleanStorage({ storage, log }: EndParts, job: string, order: OrderView): Promise<void> {
  const inputs = (order.job?.inputs ?? []).flatMap(({ path, resource }) =>
    resource?.uuid === dataOf(job, path.slice('/in/'.length)) ? [resource] : [],
  );
  const output = { type: 'output', uuid: outputOf(job) } as const;
  for (const params of order.result === undefined ? inputs : [...inputs, output]) {
    try {
      await callPeer(async (signal) => await storage.remove({ params }, { signal }));
    } catch (error) {
      if (isPlatformError(error, 'not_found')) continue;
      if (!isPlatformError(error, 'in_use')) throw error;
      log.debug({ job, error }, 'What a job had on storage stays there, since something needs it');
    }
  }
}
