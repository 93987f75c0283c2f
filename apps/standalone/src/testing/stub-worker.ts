import { createHash, randomUUID } from 'node:crypto';
import { computeClient, storageClient } from '@morpheo/client';
import { type Work, WorkerAgent } from '@morpheo/compute-worker';
import { openNsqBroker } from '@morpheo/service/broker';
import { createLog } from '@morpheo/service/log';

/** What the process is told, as JSON in its first argument. */
export interface StubWorkerSettings {
  readonly compute: string;
  readonly storage: string;
  readonly credentials: { readonly name: string; readonly secret: string };
  readonly id: string;
  readonly slots: number;
  /** How long an order takes, in milliseconds. */
  readonly workMs: number;
  /** About how often it asks for orders, in milliseconds. */
  readonly pollMs: number;
  /** The nsqd that wakes it; none where absent. */
  readonly nsqd?: string;
  /** Orders of this problem kill the process. */
  readonly poison: string;
}

/*
 * A worker as a process of its own, for tests that kill it or have it killed by what it runs: it claims, renews and
 * reports as every worker does; what it runs is a pause, and its result a prediction of a few bytes.
 */
const settings = JSON.parse(process.argv[2] ?? '') as StubWorkerSettings;
const { credentials, id, slots, workMs, pollMs, nsqd } = settings;
const compute = computeClient({ url: settings.compute, credentials });
const log = createLog({ service: 'stub-worker', level: 'error' });

const work: Work = async ({ order, attempt, spec }, { signal, events, ticket }) => {
  const storage = storageClient({ url: settings.storage, credentials, token: ticket });
  events.note({ what: 'started', step: 'predict' });
  if ('problem' in spec.uplet && spec.uplet.problem === settings.poison) process.kill(process.pid, 'SIGKILL');
  await new Promise<void>((resolve, reject) => {
    const over = setTimeout(resolve, workMs);
    signal.addEventListener('abort', () => {
      clearTimeout(over);
      reject(signal.reason);
    });
  });
  const bytes = new TextEncoder().encode(order);
  const uuid = spec.kind === 'predict' ? spec.uplet.prediction_storage_uuid : randomUUID();
  const body = { body: new Blob([bytes]).stream(), contentLength: bytes.byteLength };
  await storage.stageResult(
    { params: { order, attempt }, query: { type: 'prediction', uuid }, body },
    { signal },
  );
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { uuid, sha256, size: bytes.byteLength };
};

const broker = nsqd === undefined ? undefined : openNsqBroker({ nsqds: [nsqd], log });
const agent = new WorkerAgent({
  ...{ compute, broker, log, id, name: 'stub', runtime: { name: 'dummy' } },
  ...{ slots: { learn: 0, predict: slots }, pollMs, graceMs: 1000, work, logBytes: 1_000_000 },
});
await agent.stopped;
