import { randomUUID } from 'node:crypto';
import {
  isPlatformError,
  type Job,
  KeyedLock,
  PlatformError,
  type RunnerProtocol,
  type StartJob,
} from '@morpheo/common';
import { type ComputeCalls, callPeer, type StorageCalls } from '../clients.ts';
import type { Models, Runs } from '../models/models.ts';
import type { Flock, Place } from '../models/sheep.ts';
import { isBucketName, type JobStore } from '../store/store.ts';
import { type CallbackTokens, orderOf, outputOf } from './ids.ts';
import { INPUTS, type InputFile, inputFilesOf, jobInputs } from './inputs.ts';
import type { Intents } from './own-folder.ts';
import { digestOf, type Payload } from './payload.ts';
import type { JobRecord } from './record.ts';
import type { ModelName } from './status.ts';

/** What jobs are started with. */
export interface StartParts {
  readonly store: JobStore;
  readonly record: JobRecord;
  readonly compute: Pick<ComputeCalls, 'postJob' | 'getOrder'>;
  readonly storage: StorageCalls;
  readonly models: Models;
  readonly flock: Flock;
  readonly intents: Intents;
  readonly tokens: CallbackTokens;
  /** Where compute-api tells of ends. */
  readonly callbackUrl: () => string;
  readonly protocol: RunnerProtocol;
  /** By which the jobs of this service are found among all orders. */
  readonly labels: Readonly<Record<string, string>>;
}

/** A job of which all is known that its order says. */
interface StartedJob {
  readonly model: ModelName;
  readonly place: Place;
  readonly runs: Runs;
  readonly files: readonly InputFile[];
}

/** The label of an order that says which job it is. */
export const JOB_LABEL = 'shepherd.job';

/** Starts jobs: each is an order, under an id that its own makes. */
export class Starts {
  readonly #parts: StartParts;
  readonly #starting = new KeyedLock();

  constructor(parts: StartParts) {
    this.#parts = parts;
  }

  /**
   * Starts a job: it is on the disk of compute-api when this resolves. Throws `conflict` where its id is taken, and
   * `invalid_request` where it could not run; a start that failed may be tried again under the same id.
   */
  async start(request: StartJob, given: Payload): Promise<void> {
    const { job_id: job } = request;
    const { models, flock } = this.#parts;
    if (!isBucketName(job)) throw invalid(`Invalid job id \`${job}\`: ${BUCKET_RULE}`);
    const place = flock.choose(request.sheep_id);
    const model = { name: request.model.name ?? null, version: request.model.version ?? null };
    const runs = await models.find(model, place.sheep);
    using _ = await this.#starting.hold(job);
    // What is no text, such as a number, stands in the request itself.
    if (given.isEmpty && request.payload)
      await given.add(Buffer.from(JSON.stringify(request.payload).slice(1, -1)));
    if (given.isEmpty && (await this.#isStarted(job))) return;
    const files = given.isEmpty
      ? await inputFilesOf(this.#parts.store, job)
      : [await this.#putPayload(job, given)];
    await this.#placeOrder(job, { model, place, runs, files });
  }

  /** Makes the bucket with the payload in it. Throws `conflict` where the job was started already. */
  async #putPayload(job: string, payload: Payload): Promise<InputFile> {
    const { store, intents } = this.#parts;
    const whole = await payload.whole();
    const isBegun = await intents.has(job);
    if (!isBegun) await intents.add(job);
    const name = `${INPUTS.prefix}${INPUTS.usual}`;
    if ((await store.create(job)) === 'there') {
      // A start that broke off, here or in another process, goes on; what others have put there does not.
      if ((await this.#isStarted(job)) || !(isBegun || (await this.#isPut(job, name, payload)))) {
        await intents.remove(job);
        throw taken();
      }
    }
    if (whole !== undefined) {
      await store.put(job, name, whole);
      return { name: INPUTS.usual, size: whole.byteLength, bytes: whole };
    }
    await store.write(job, name, payload.bytes());
    return { name: INPUTS.usual, size: (await store.stat(job, name))?.size ?? 0 };
  }

  async #isPut(job: string, name: string, payload: Payload): Promise<boolean> {
    const file = await this.#parts.store.read(job, name);
    return file !== undefined && (await digestOf(file.body)) === (await payload.digest());
  }

  /** Whether the job has an order, or has had one. */
  async #isStarted(job: string): Promise<boolean> {
    const { compute, record } = this.#parts;
    try {
      await callPeer(async (signal) => await compute.getOrder({ params: { id: orderOf(job) } }, { signal }));
      return true;
    } catch (error) {
      if (!isPlatformError(error, 'not_found')) throw error;
      return (await record.ended(job)) !== undefined;
    }
  }

  async #placeOrder(job: string, { model, place, runs, files }: StartedJob): Promise<void> {
    const { record, compute, intents, tokens, protocol, labels, callbackUrl } = this.#parts;
    const [inputs] = await Promise.all([
      callPeer(async () => await jobInputs(this.#parts, job, files)),
      record.queued(job, model),
    ]);
    const order: Job = {
      ...{ uuid: orderOf(job), ...runs, ...place.order, warm: protocol, inputs, output: outputOf(job) },
      // Of two that start the same job at the same time, compute-api takes one.
      labels: { ...labels, [JOB_LABEL]: job, 'shepherd.start': randomUUID() },
      callback: `${callbackUrl()}/v1/ended/${job}?token=${tokens.of(job)}`,
    };
    try {
      await callPeer(async (signal) => await compute.postJob({ body: order }, { signal }));
    } catch (error) {
      if (!isPlatformError(error, 'conflict')) throw error;
      await intents.remove(job);
      throw taken(error);
    }
    await intents.remove(job);
  }
}

const BUCKET_RULE =
  'it should have 3 to 63 small letters, digits, hyphens and dots, with a letter or digit at both ends and around each dot, since it names a bucket';

function invalid(message: string): PlatformError {
  return new PlatformError('invalid_request', message);
}

function taken(cause?: unknown): PlatformError {
  return new PlatformError('conflict', 'A job with this ID was already submitted', { cause });
}
