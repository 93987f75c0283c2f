import type { Secret } from '../config/index.ts';
import type { Log } from '../log/index.ts';
import type { BucketWords } from './errors.ts';

/** A bucket of S3, or of a server that speaks like it, and how to get there. */
export interface BucketOptions {
  readonly bucket: string;
  /** `us-east-1` where absent, which servers of one's own take. */
  readonly region?: string | undefined;
  /** Such as `http://127.0.0.1:9000`; AWS where absent. */
  readonly endpoint?: string | undefined;
  /** The bucket in the path and not in the host's name; by default where there is an endpoint. */
  readonly pathStyle?: boolean | undefined;
  /**
   * The keys, or what finds them, asked again now and then: where it fails, those before are used. Where absent, they are
   * found as AWS's own tools do: environment, profile, role of the machine; those of a profile are found again when its
   * files change.
   */
  readonly credentials?: BucketCredentials | (() => Promise<BucketCredentials>) | undefined;
  /** The PEM text of the authorities to trust besides the known ones; asked for again for each request. */
  readonly ca?: string | (() => string) | undefined;
  /** `when-required`: for servers that do not know the checksums of S3; signatures still cover every byte. */
  readonly checksums?: 'when-supported' | 'when-required' | undefined;
  /** What each upload and copy asks for; the bucket decides where absent. */
  readonly encryption?: BucketEncryption | undefined;
  /** How errors call the bucket and its settings. */
  readonly words: BucketWords;
  readonly tuning?: Partial<BucketTuning> | undefined;
  /** Told where keys cannot be found again; nobody is where absent. */
  readonly log?: Log | undefined;
}

/** Keys of an account, read for each request, as they may change; see {@link BucketOptions}. */
export interface BucketCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly sessionToken?: Secret | undefined;
}

/** What a bucket of Google Cloud Storage needs, which answers to the requests of S3 with HMAC keys. */
export const GOOGLE_OPTIONS = {
  endpoint: 'https://storage.googleapis.com',
  region: 'auto',
  checksums: 'when-required',
} as const;

/** How a server encrypts what it keeps (`x-amz-server-side-encryption`). */
export const SSE_KINDS = ['AES256', 'aws:kms'] as const;

/** Which encryption is asked for. */
export interface BucketEncryption {
  readonly kind: (typeof SSE_KINDS)[number];
  /** The id or ARN of the key of `aws:kms`; that of the account where absent. */
  readonly key?: string | undefined;
}

/** How signed addresses are made. */
export interface LinkOptions {
  /** The endpoint as those see it who are given a link; the bucket's own where absent. */
  readonly endpoint?: string | undefined;
  /** How long a download may be begun, in seconds. */
  readonly seconds: number;
}

/** What is chosen with measure; tests choose smaller ones. */
export interface BucketTuning {
  /** The size of a part of an upload in bytes, at least 5 MiB (S3); grows where 10,000 of them would not suffice. */
  readonly partBytes: number;
  /** How many parts of an upload are on their way at once; one more is being filled. */
  readonly partsAtOnce: number;
  /** An object of more bytes is copied in parts of so many. */
  readonly copyBytes: number;
  /** How long a connection may take to be made, in milliseconds. */
  readonly connectMs: number;
  /** How long an answer may take that does not depend on the size of anything, in milliseconds. */
  readonly answerMs: number;
  /** How long a download may be silent while somebody waits for its bytes, in milliseconds. */
  readonly silenceMs: number;
}

const MIB = 1024 ** 2;

/** See {@link BucketTuning}. */
export const DEFAULT_TUNING: BucketTuning = {
  partBytes: 8 * MIB,
  partsAtOnce: 2,
  copyBytes: 256 * MIB,
  connectMs: 5_000,
  answerMs: 10_000,
  silenceMs: 30_000,
};
