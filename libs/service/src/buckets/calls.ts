import { Agent, type AgentOptions } from 'node:https';
import { rootCertificates } from 'node:tls';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { keysOf } from './credentials.ts';
import { type BucketLocation, nameOf, s3Error } from './errors.ts';
import { type BucketOptions, type BucketTuning, DEFAULT_TUNING } from './options.ts';
import { signByChecksums } from './payload.ts';

/** How many times a call is made before it has failed (the standard mode of the AWS tools). */
const ATTEMPTS = 3;
/** The slowest line that is served, in bytes a millisecond: a part may take as long as it takes there. */
const SLOWEST = 256;

/** Clocks that differ by less are taken for equal: servers tell the time in whole seconds. */
const CLOCK_ROUGHNESS_MS = 10_000;

/** What every call of the vendor's client is made with. */
export interface How {
  readonly abortSignal: AbortSignal;
  readonly requestTimeout: number;
}

/** What a call may take. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** How many bytes go along, or are moved by it. */
  readonly bytes?: number;
  /** Tried once: for what others do again, or must not be done twice. */
  readonly once?: boolean;
  /** The answer is a stream, which may take as long as its reader likes. */
  readonly streams?: boolean;
}

/** The members of a request that ask for encryption. */
export interface Encryption {
  readonly ServerSideEncryption?: 'AES256' | 'aws:kms';
  readonly SSEKMSKeyId?: string;
}

/** The one way to a bucket: every call is bounded in time, and what it throws is the platform's. */
export interface Calls extends Disposable {
  readonly bucket: string;
  readonly location: BucketLocation;
  readonly tuning: BucketTuning;
  /** Whether the server knows S3's checksums. */
  readonly checksums: boolean;
  /** What belongs into each request that makes an object: a put, the begin of an upload in parts, a copy. */
  readonly encryption: Encryption;
  /** Makes a call; rejects with the signal's reason, or the error that {@link s3Error} makes of it. */
  run<T>(work: (s3: S3Client, how: How) => Promise<T>, options?: CallOptions): Promise<T>;
  /** As `run`, but hands on what S3 said as it is. */
  raw<T>(work: (s3: S3Client, how: How) => Promise<T>, options?: CallOptions): Promise<T>;
  /** The same way to another bucket of the server. Both share their connections, which the first one closes. */
  at(bucket: string): Calls;
  /** By how much the server's clock is ahead of ours, in milliseconds; 0 where it may be the second that answers are rounded to. */
  clockAheadMs(): number;
}

/** Opens the {@link Calls}; nothing is sent yet. */
export function openCalls(options: BucketOptions): Calls {
  const tuning = { ...DEFAULT_TUNING, ...options.tuning };
  const patient = signByChecksums(new S3Client(clientConfig(options, tuning)));
  // Both share their connections.
  const shared = { requestHandler: patient.config.requestHandler, maxAttempts: 1 };
  const hasty = signByChecksums(new S3Client({ ...clientConfig(options, tuning), ...shared }));
  const checksums = options.checksums !== 'when-required';
  const endpoint = options.endpoint ?? `AWS in ${regionOf(options)}`;

  async function raw<T>(work: (s3: S3Client, how: How) => Promise<T>, call: CallOptions = {}): Promise<T> {
    const requestTimeout = tuning.answerMs + Math.ceil((call.bytes ?? 0) / SLOWEST);
    const attempts = call.once === true ? 1 : ATTEMPTS;
    const own =
      call.streams === true ? [] : [AbortSignal.timeout(attempts * requestTimeout + tuning.answerMs)];
    const abortSignal = AbortSignal.any([...own, ...(call.signal === undefined ? [] : [call.signal])]);
    try {
      return await work(call.once === true ? hasty : patient, { abortSignal, requestTimeout });
    } catch (error) {
      call.signal?.throwIfAborted();
      throw error;
    }
  }

  async function again<T>(work: (s3: S3Client, how: How) => Promise<T>, call?: CallOptions): Promise<T> {
    try {
      return await raw(work, call);
    } catch (error) {
      // The client has learnt the server's time from this answer.
      if (nameOf(error) !== 'RequestTimeTooSkewed') throw error;
      return await raw(work, call);
    }
  }

  const toBucket = (bucket: string): Calls => {
    const location = { endpoint, bucket, checksums, words: options.words };
    return {
      ...{ bucket, location, tuning, raw: again, checksums, at: toBucket },
      encryption: encryptionOf(options),
      async run(work, call) {
        try {
          return await again(work, call);
        } catch (error) {
          call?.signal?.throwIfAborted();
          throw s3Error(error, location);
        }
      },
      clockAheadMs() {
        const ahead = patient.config.systemClockOffset;
        return Math.abs(ahead) < CLOCK_ROUGHNESS_MS ? 0 : ahead;
      },
      [Symbol.dispose]() {
        patient.destroy();
        hasty.destroy();
      },
    };
  };
  return toBucket(options.bucket);
}

/** The settings of the vendor's client. */
export function clientConfig(options: BucketOptions, tuning: BucketTuning): S3ClientConfig {
  const { endpoint, ca, checksums, pathStyle } = options;
  const agent = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY };
  return {
    region: regionOf(options),
    forcePathStyle: pathStyle ?? endpoint !== undefined,
    ...(endpoint === undefined ? {} : { endpoint }),
    credentials: keysOf(options),
    retryMode: 'standard',
    maxAttempts: ATTEMPTS,
    // A part is in memory, complete, before it is sent: to wait for the server's leave would cost a round trip each.
    expectContinueHeader: false,
    requestChecksumCalculation: checksums === 'when-required' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED',
    // Who downloads compares the digest: no second sum of every byte here.
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: tuning.connectMs,
      requestTimeout: tuning.answerMs,
      throwOnRequestTimeout: true,
      // It would end downloads whose reader is slow.
      socketTimeout: 0,
      httpAgent: agent,
      httpsAgent: ca === undefined ? agent : agentTrusting(ca, agent),
    },
  };
}

/** An agent that also trusts an authority, as that is when a connection is made; one of another time is used no more. */
function agentTrusting(ca: string | (() => string), options: AgentOptions): Agent {
  const agent = new Agent(options);
  // Node's agent takes its options up for each request, and keeps connections apart by their authorities.
  const get = () => [...rootCertificates, typeof ca === 'string' ? ca : ca()];
  Object.defineProperty(agent.options, 'ca', { get, enumerable: true });
  return agent;
}

function encryptionOf({ encryption }: BucketOptions): Encryption {
  if (encryption === undefined) return {};
  const { kind, key } = encryption;
  return { ServerSideEncryption: kind, ...(key === undefined ? {} : { SSEKMSKeyId: key }) };
}

function regionOf({ region }: BucketOptions): string {
  return region ?? 'us-east-1';
}
