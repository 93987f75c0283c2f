import { buffer } from 'node:stream/consumers';
import type { Onlooker } from './account.ts';
import type { Cluster } from './cluster/cluster.ts';
import { failedAsItsProgram, type PlacedJob } from './jobs.ts';

/** What came of the jobs. */
export interface JobsAccount {
  /** Jobs whose outputs were compared byte for byte. */
  readonly compared: number;
  /** Jobs that went on from what an attempt before had stored. */
  readonly resumed: number;
  /** What is not as it has to be, a sentence each. */
  readonly broken: readonly string[];
}

/** Compares how the jobs ended, and all that they have left, with what their programs had to do. */
export async function judgeJobs(
  { storageApis: [storage] }: Pick<Cluster, 'storageApis'>,
  { read }: Onlooker,
  jobs: readonly PlacedJob[],
): Promise<JobsAccount> {
  if (storage === undefined) throw new Error('There is no storage.');
  const broken: string[] = [];
  let [compared, resumed] = [0, 0];
  for (const placed of jobs) {
    const { uuid } = placed.body;
    const order = await read
      .selectFrom('orders')
      .select(['status', 'failure', 'result'])
      .where('id', '=', uuid)
      .executeTakeFirstOrThrow();
    if (!endedAsItsProgram(order, placed) || order.result === null) {
      broken.push(
        `the job ${uuid}, whose program ends with ${placed.exitCode}, is ${order.status} ${order.failure}`,
      );
      continue;
    }
    const left = await filesOf(storage, (JSON.parse(order.result) as { uuid: string }).uuid);
    const steps = Buffer.from(left.get('steps') ?? []).toString();
    left.delete('steps');
    if (!isSame(left, placed.files))
      broken.push(`the job ${uuid} has left other bytes than its program wrote`);
    const runs = runsOf(steps, placed.steps);
    if (runs === undefined) broken.push(`the job ${uuid} repeated or skipped a step:\n${steps}`);
    if (runs !== undefined && runs > 1) resumed += 1;
    compared += 1;
  }
  return { compared, resumed, broken };
}

function endedAsItsProgram(
  { status, failure }: { readonly status: string; readonly failure: string | null },
  placed: PlacedJob,
): boolean {
  return placed.exitCode === 0
    ? status === 'done'
    : status === 'failed' && failedAsItsProgram(failure, placed);
}

async function filesOf(
  storage: Cluster['storageApis'][number],
  uuid: string,
): Promise<Map<string, Uint8Array>> {
  const { items } = await storage.listOutputFiles({ params: { uuid }, query: {} });
  const files = new Map<string, Uint8Array>();
  for (const { path } of items) {
    const { body } = await storage.getOutputFile({ params: { uuid }, query: { path }, headers: {} });
    files.set(path, body === undefined ? Buffer.of() : await buffer(body));
  }
  return files;
}

function isSame(some: ReadonlyMap<string, Uint8Array>, others: ReadonlyMap<string, Uint8Array>): boolean {
  const isIn = ([path, bytes]: [string, Uint8Array]) => Buffer.from(others.get(path) ?? []).equals(bytes);
  return some.size === others.size && [...some].every((file) => others.has(file[0]) && isIn(file));
}

/** How many runs of a program counted its steps: each once, and all of a run after all of those before. */
function runsOf(told: string, steps: number): number | undefined {
  const lines = told.split('\n').filter((line) => line !== '');
  const runs = lines.map((line) => line.split(' ')[1]);
  const changes = runs.filter((run, n) => n === 0 || run !== runs[n - 1]).length;
  const isCounted = lines.length === steps && lines.every((line, n) => line.startsWith(`${n + 1} `));
  return isCounted && changes === new Set(runs).size ? changes : undefined;
}
