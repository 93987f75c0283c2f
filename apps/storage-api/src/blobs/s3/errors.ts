import { type ErrorCode, PlatformError } from '@morpheo/common';

/** Where a store is, for messages: never a secret. */
export interface S3Location {
  /** The endpoint, or the name of AWS's. */
  readonly endpoint: string;
  readonly bucket: string;
  /** Whether it is sent S3's checksums. */
  readonly checksums: boolean;
}

const KEYS = 'it does not accept the keys: correct --s3-access-key and --s3-secret-key';
const RIGHTS =
  'the keys may not do this: allow them to list, read, write and delete in the bucket, and give --s3-sse if its policy demands encryption of each upload';
const REGION = 'the bucket is in another region: correct --s3-region or --s3-endpoint';
const BUSY = 'it is busy or broken at the moment; its own log says why';
const CHECKSUMS = 'it does not know the checksums of S3: say --s3-checksums when-required';
const UNKNOWN = 'it does not know a request that is needed: use another server';
const FULL = 'there is no room left: make room, or raise the quota';
const DAMAGED = 'the bytes were damaged on their way; send them again';

/** What S3, or a server that speaks like it, says with a code of its own. */
const SAID: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  NoSuchBucket: [
    'unavailable',
    'there is no such bucket: create it, correct --s3-bucket, or say --s3-create-bucket',
  ],
  InvalidBucketName: ['unavailable', 'a bucket cannot have this name: correct --s3-bucket'],
  BucketAlreadyExists: ['unavailable', 'the bucket is somebody else’s: choose another name'],
  InvalidAccessKeyId: ['unavailable', KEYS],
  SignatureDoesNotMatch: ['unavailable', KEYS],
  InvalidToken: ['unavailable', KEYS],
  ExpiredToken: ['unavailable', KEYS],
  TokenRefreshRequired: ['unavailable', KEYS],
  CredentialsProviderError: [
    'unavailable',
    'no keys were given or found: give --s3-access-key and --s3-secret-key, or a profile or role of AWS',
  ],
  AccessDenied: ['unavailable', RIGHTS],
  AllAccessDisabled: ['unavailable', RIGHTS],
  RequestTimeTooSkewed: ['unavailable', 'the clocks differ too much: set the time of both machines'],
  PermanentRedirect: ['unavailable', REGION],
  AuthorizationHeaderMalformed: ['unavailable', REGION],
  IllegalLocationConstraintException: ['unavailable', REGION],
  InvalidRegion: ['unavailable', REGION],
  XMinioStorageFull: ['disk_full', FULL],
  XMinioAdminBucketQuotaExceeded: ['disk_full', FULL],
  QuotaExceeded: ['disk_full', FULL],
  BadDigest: ['unavailable', DAMAGED],
  XAmzContentSHA256Mismatch: ['unavailable', DAMAGED],
  XAmzContentChecksumMismatch: ['unavailable', DAMAGED],
  IncompleteBody: ['unavailable', DAMAGED],
  SlowDown: ['unavailable', BUSY],
  SlowDownRead: ['unavailable', BUSY],
  SlowDownWrite: ['unavailable', BUSY],
};

/** What an answer without a body (to HEAD) says by its status alone. */
const BY_STATUS: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  301: ['unavailable', REGION],
  307: ['unavailable', REGION],
  403: ['unavailable', `it refuses: ${KEYS}, or what they may do`],
  501: ['unavailable', UNKNOWN],
  507: ['disk_full', FULL],
};

/** How servers that do not know S3's checksums complain of them: of a header, or of the form of the body. */
const OF_CHECKSUMS = /checksum|x-amz-trailer|STREAMING-[\w-]*TRAILER/i;

const TLS = /^(?:CERT_|ERR_TLS|ERR_SSL|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|EPROTO|HOSTNAME_MISMATCH)/;

/** What a call of S3 threw, as an error that names the store, says what is wrong with it, and what to do. */
export function s3Error(error: unknown, { endpoint, bucket, checksums }: S3Location): PlatformError {
  if (error instanceof PlatformError) return error;
  const [code, reason] = judge(error, checksums);
  return new PlatformError(code, `The blob store at ${endpoint}, bucket ${bucket}: ${reason}.`, {
    cause: error,
  });
}

function judge(error: unknown, checksums: boolean): readonly [ErrorCode, string] {
  const said = SAID[nameOf(error)];
  const status = statusOf(error);
  if (said !== undefined) return [said[0], `${said[1]} (${nameOf(error)})`];
  if (status !== undefined) return byStatus(status, error, checksums);
  const system = codeOf(error);
  if (TLS.test(system)) {
    const remedy =
      'give the authority of its certificate by --s3-ca, or correct http and https in --s3-endpoint';
    return ['unavailable', `no secure connection could be made: ${remedy} (${textOf(error)})`];
  }
  if (system !== '' || nameOf(error) === 'TimeoutError' || nameOf(error) === 'AbortError') {
    return [
      'unavailable',
      `it does not answer: check --s3-endpoint, the network, and that it runs (${textOf(error)})`,
    ];
  }
  return ['internal', `an answer was not understood (${textOf(error)})`];
}

function byStatus(status: number, error: unknown, checksums: boolean): readonly [ErrorCode, string] {
  // MinIO has a code for a disk that is nearly full, and none for one that fills in the middle of a write.
  const full = /no space left|drive path full/i.test(textOf(error)) ? BY_STATUS[507] : undefined;
  const known = full ?? BY_STATUS[status] ?? (status >= 500 ? (['unavailable', BUSY] as const) : undefined);
  const told = `${status}, ${nameOf(error)}: ${textOf(error)}`;
  const refusesChecksums = checksums && [400, 411, 501].includes(status) && OF_CHECKSUMS.test(textOf(error));
  if (refusesChecksums) return ['unavailable', `${CHECKSUMS} (${told})`];
  if (status === 501 && checksums) {
    return ['unavailable', `${UNKNOWN}, or try --s3-checksums when-required (${told})`];
  }
  return known === undefined
    ? ['internal', `it refuses a request (${told})`]
    : [known[0], `${known[1]} (${told})`];
}

/** The HTTP status of an answer of S3; undefined where there was none. */
export function statusOf(error: unknown): number | undefined {
  const data = memberOf(error, '$metadata');
  const status = memberOf(data, 'httpStatusCode');
  return typeof status === 'number' ? status : undefined;
}

/** The code that S3 gives to an error, such as `NoSuchKey`. */
export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

/** Names of hosts have several addresses, and each of them may fail. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  const code = memberOf(error, 'code');
  return typeof code === 'string' ? code : '';
}

function textOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return textOf(error.errors[0]);
  const text = error instanceof Error ? error.message : String(error);
  return (text.split('\n')[0] ?? '').slice(0, 300).replace(/\.$/, '');
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.getOwnPropertyDescriptor(value, name)?.value;
}
