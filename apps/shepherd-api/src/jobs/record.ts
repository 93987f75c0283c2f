import { text } from 'node:stream/consumers';
import { type JobStatus, jobStatus } from '@morpheo/common';
import type { JobStore, StoredFile } from '../store/store.ts';
import { type ModelName, queuedStatus, timeOf } from './status.ts';

/** How the bucket of a job says how that stands: each dialect has its own way. */
export interface JobRecord {
  /** Says that a job waits, where nothing is said yet. */
  queued(job: string, model: ModelName): Promise<void>;
  /** How a job ended; undefined where its bucket does not say that it has. */
  ended(job: string): Promise<JobStatus | undefined>;
  /** Says how a job ended. */
  end(job: string, status: JobStatus): Promise<void>;
}

const STATUS = 'job_status.json';

/** Dialect 0.5: `job_status.json` is what `/jobs/…/status` answers. */
export function statusRecord(store: JobStore): JobRecord {
  const write = async (job: string, status: JobStatus, only?: 'new') =>
    await store.put(job, STATUS, Buffer.from(JSON.stringify(status)), only);
  return {
    queued: async (job, model) => await write(job, queuedStatus(model, new Date()), 'new'),
    end: async (job, status) => await write(job, status),
    async ended(job) {
      // Somebody else may have written it: what is none of ours is as good as nothing.
      const found = jobStatus.safeParse(parsed(await textOf(await store.read(job, STATUS)))).data;
      return found?.status === 'done' || found?.status === 'failed' ? found : undefined;
    },
  };
}

/** What says how a job stands is shorter, in bytes; whoever may write to the bucket may have put there what they like. */
const MOST_BYTES = 1024 ** 2;

/** What a file says; undefined where it is not there, or cannot be one of ours. */
async function textOf(file: StoredFile | undefined): Promise<string | undefined> {
  if (file === undefined || file.size <= MOST_BYTES) return file && (await text(file.body));
  await file.body.cancel();
  return undefined;
}

function parsed(json: string | undefined): unknown {
  try {
    return json === undefined ? undefined : JSON.parse(json);
  } catch {
    return undefined;
  }
}

const [DONE, ERROR] = ['done', 'error'];
const NOBODY: ModelName = { name: null, version: null };

/** Dialect 0.4: an empty file `done` where a job has ended, and before it a file `error` with the text where it failed. */
export function markerRecord(store: JobStore): JobRecord {
  return {
    queued: async () => undefined,
    async end(job, { error_details }) {
      if (error_details !== null) await store.put(job, ERROR, Buffer.from(error_details.message));
      await store.put(job, DONE, new Uint8Array());
    },
    async ended(job) {
      const [done, error] = await Promise.all([store.stat(job, DONE), store.read(job, ERROR)]);
      if (done === undefined && error === undefined) return undefined;
      const message = error === undefined ? undefined : ((await textOf(error)) ?? 'The job failed');
      return {
        status: message === undefined ? 'done' : 'failed',
        error_details:
          message === undefined ? null : { message, exception_type: null, exception_traceback: null },
        ...{ model: NOBODY, enqueued_at: null, processing_started_at: null },
        finished_at: timeOf(done?.storedAt.toISOString()),
      };
    },
  };
}
