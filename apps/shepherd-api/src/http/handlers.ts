import {
  type Api,
  type BytesOut,
  type Call,
  PlatformError,
  type SheepStatus,
  type ShepherdContract,
  type ShepherdContract04,
} from '@morpheo/common';
import { OUTPUTS } from '../jobs/ends.ts';
import { INPUTS } from '../jobs/inputs.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { Payload } from '../jobs/payload.ts';
import type { Starts } from '../jobs/starts.ts';
import type { Standing } from '../jobs/status.ts';
import type { JobStore } from '../store/store.ts';
import { fileAnswer, jsonAnswer } from './files.ts';
import { readStartJob } from './start-request.ts';

/** What the routes of both dialects are made of. */
export interface HandlerParts {
  readonly jobs: Jobs;
  readonly starts: Starts;
  readonly store: JobStore;
  /** Where long payloads wait. */
  readonly folder: string;
  /** The sheep of the configuration, with what they do now. */
  readonly sheep: () => Promise<Record<string, SheepStatus>>;
  /** Aborted when the service stops: nobody waits any longer. */
  readonly stopping: AbortSignal;
}

/** What both dialects answer alike; `unknown` is what each says of a job that is not there. */
function common(parts: HandlerParts, unknown: (job: string) => string) {
  const { jobs, starts, store, folder } = parts;
  const known = (job: string, standing: Standing | undefined): Standing => {
    if (standing !== undefined) return standing;
    throw new PlatformError('invalid_request', unknown(job));
  };
  const standing = async (job: string) => known(job, await jobs.standing(job));
  const result = async (job: string, name: string): Promise<BytesOut> => {
    const { status, ended } = await standing(job);
    if (!ended) return jsonAnswer(202, { ready: false });
    if (status.error_details !== null) return jsonAnswer(500, { message: status.error_details.message });
    return (await fileAnswer(store, job, { prefix: OUTPUTS.prefix, name })) ?? noFile();
  };
  return {
    known,
    standing,
    routes: {
      startJob: async ({ body }: Parameters<Api<ShepherdContract>['startJob']>[0]) => {
        await using payload = new Payload(folder);
        await starts.start(await readStartJob(body, payload), payload);
        return { success: true } as const;
      },
      jobResult: async ({ params }: OfJob) => await result(params.job_id, OUTPUTS.usual),
      jobResultFile: async ({ params }: OfFile) => await result(params.job_id, params.file),
      jobEnded: async ({ params, query }: Parameters<Api<ShepherdContract>['jobEnded']>[0]) => {
        await jobs.ended(params.job_id, query.token);
        return undefined;
      },
    },
    wait: async (job: string, call: Call | undefined) => {
      const signals = [parts.stopping, ...(call?.signal === undefined ? [] : [call.signal])];
      return known(job, await jobs.wait(job, AbortSignal.any(signals)));
    },
  };
}

interface OfJob {
  readonly params: { readonly job_id: string };
}

interface OfFile {
  readonly params: { readonly job_id: string; readonly file: string };
}

/** The routes of dialect 0.5. */
export function handlers05(parts: HandlerParts): Api<ShepherdContract> {
  const { store, sheep } = parts;
  const unknown = (job: string) => `Data for job \`${job}\` does not exist`;
  const { routes, standing, wait } = common(parts, unknown);
  const input = async (job: string, name: string) => {
    const found = await fileAnswer(store, job, { prefix: INPUTS.prefix, name });
    if (found !== undefined) return found;
    if (await store.has(job)) return noFile();
    throw new PlatformError('invalid_request', unknown(job));
  };
  return {
    ...routes,
    jobStatus: async ({ params }) => (await standing(params.job_id)).status,
    waitReady: async ({ params }, call) => {
      const { status, ended } = await wait(params.job_id, call);
      return jsonAnswer(ended ? 200 : 504, status);
    },
    jobInput: async ({ params }) => await input(params.job_id, INPUTS.usual),
    jobInputFile: async ({ params }) => await input(params.job_id, params.file),
    async getStatus() {
      const found = await sheep();
      return { sheep: found, containers: found };
    },
  };
}

/** The routes of dialect 0.4. */
export function handlers04(parts: HandlerParts): Api<ShepherdContract04> {
  const { routes, standing, wait } = common(parts, (job) => `Minio bucket \`${job}\` does not exist`);
  return {
    ...routes,
    async isReady({ params }) {
      const { status, ended } = await standing(params.job_id);
      return { ready: ended, finished_at: ended ? status.finished_at : null };
    },
    waitReady: async ({ params }, call) => {
      const { ended } = await wait(params.job_id, call);
      return jsonAnswer(ended ? 200 : 504, { ready: ended });
    },
    getStatus: async () => ({ containers: await parts.sheep() }),
  };
}

function noFile(): never {
  throw new PlatformError('not_found', 'Requested file does not exist');
}
