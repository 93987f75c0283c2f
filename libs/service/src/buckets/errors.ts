import { type ErrorCode, PlatformError } from '@morpheo/common';

/** How errors call a bucket and its settings, so that whoever reads one knows what to change. */
export interface BucketWords {
  /** What the bucket is to its user, at the beginning of a sentence: `The blob store`. */
  readonly subject: string;
  /** Its settings: each as whoever can change it knows it. */
  readonly keys: string;
  readonly endpoint: string;
  readonly region: string;
  readonly ca: string;
  /** The setting with the value that turns S3's checksums off. */
  readonly withoutChecksums: string;
  readonly encryption: string;
  /** What to do where there is no such bucket, and where it cannot have its name. */
  readonly noBucket: string;
  readonly badName: string;
  /** What the keys must be allowed to do. */
  readonly rights: string;
  /** What an error is that says that they are not. */
  readonly denied: ErrorCode;
}

/** Where a bucket is, for messages: never a secret. */
export interface BucketLocation {
  /** The endpoint, or the name of AWS's. */
  readonly endpoint: string;
  readonly bucket: string;
  /** Whether it is sent S3's checksums. */
  readonly checksums: boolean;
  readonly words: BucketWords;
}

type Said = readonly [ErrorCode, string];
type Says = (words: BucketWords) => Said;

const UNKNOWN = 'it does not know a request that is needed: use another server';

const busy: Says = () => ['unavailable', 'it is busy or broken at the moment; its own log says why'];
const full: Says = () => ['disk_full', 'there is no room left: make room, or raise the quota'];
const damaged: Says = () => ['unavailable', 'the bytes were damaged on their way; send them again'];
const wrongKeys: Says = ({ keys }) => ['unavailable', `it does not accept the keys: correct ${keys}`];
const denied: Says = ({ denied, rights, encryption }) => [
  denied,
  `the keys may not do this: allow them to ${rights}, and give ${encryption} if its policy demands encryption of each upload`,
];
const elsewhere: Says = ({ region, endpoint }) => [
  'unavailable',
  `the bucket is in another region: correct ${region} or ${endpoint}`,
];

/** What S3, or a server that speaks like it, says with a code of its own. */
const SAID: ReadonlyMap<string, Says> = new Map<string, Says>([
  ['NoSuchBucket', ({ noBucket }) => ['unavailable', `there is no such bucket: ${noBucket}`]],
  ['InvalidBucketName', ({ badName }) => ['unavailable', `a bucket cannot have this name: ${badName}`]],
  ['BucketAlreadyExists', () => ['unavailable', 'the bucket is somebody else’s: choose another name']],
  ['InvalidAccessKeyId', wrongKeys],
  ['SignatureDoesNotMatch', wrongKeys],
  ['InvalidToken', wrongKeys],
  ['ExpiredToken', wrongKeys],
  ['TokenRefreshRequired', wrongKeys],
  [
    'CredentialsProviderError',
    ({ keys }) => ['unavailable', `no keys were given or found: give ${keys}, or a profile or role of AWS`],
  ],
  ['AccessDenied', denied],
  ['AllAccessDisabled', denied],
  [
    'RequestTimeTooSkewed',
    () => ['unavailable', 'the clocks differ too much: set the time of both machines'],
  ],
  ['PermanentRedirect', elsewhere],
  ['AuthorizationHeaderMalformed', elsewhere],
  ['IllegalLocationConstraintException', elsewhere],
  ['InvalidRegion', elsewhere],
  ['XMinioStorageFull', full],
  ['XMinioAdminBucketQuotaExceeded', full],
  ['QuotaExceeded', full],
  ['PreconditionFailed', () => ['precondition_failed', 'what is there is not what the request expects']],
  ['ConditionalRequestConflict', busy],
  ['BadDigest', damaged],
  ['XAmzContentSHA256Mismatch', damaged],
  ['XAmzContentChecksumMismatch', damaged],
  ['IncompleteBody', damaged],
  ['SlowDown', busy],
  ['SlowDownRead', busy],
  ['SlowDownWrite', busy],
]);

/** What an answer without a body (to HEAD) says by its status alone. */
const BY_STATUS: ReadonlyMap<number, Says> = new Map<number, Says>([
  [301, elsewhere],
  [307, elsewhere],
  [
    403,
    ({ keys }) => [
      'unavailable',
      `it refuses: it does not accept the keys: correct ${keys}, or what they may do`,
    ],
  ],
  [501, () => ['unavailable', UNKNOWN]],
  [507, full],
]);

/** How servers that do not know S3's checksums complain of them: of a header, or of the form of the body. */
const OF_CHECKSUMS = /checksum|x-amz-trailer|STREAMING-[\w-]*TRAILER/i;

const TLS = /^(?:CERT_|ERR_TLS|ERR_SSL|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|EPROTO|HOSTNAME_MISMATCH)/;

/** What a call of S3 threw, as an error that names the bucket, says what is wrong with it, and what to do. */
export function s3Error(error: unknown, location: BucketLocation): PlatformError {
  if (error instanceof PlatformError) return error;
  const { endpoint, bucket, words } = location;
  const [code, reason] = judge(error, location);
  return new PlatformError(code, `${words.subject} at ${endpoint}, bucket ${bucket}: ${reason}.`, {
    cause: error,
  });
}

function judge(error: unknown, { checksums, words }: BucketLocation): Said {
  const said = SAID.get(nameOf(error))?.(words);
  const status = statusOf(error);
  if (said !== undefined) return [said[0], `${said[1]} (${nameOf(error)})`];
  if (status !== undefined) return byStatus(status, error, checksums, words);
  const system = codeOf(error);
  if (TLS.test(system)) {
    const remedy = `give the authority of its certificate by ${words.ca}, or correct http and https in ${words.endpoint}`;
    return ['unavailable', `no secure connection could be made: ${remedy} (${textOf(error)})`];
  }
  if (system !== '' || nameOf(error) === 'TimeoutError' || nameOf(error) === 'AbortError') {
    return [
      'unavailable',
      `it does not answer: check ${words.endpoint}, the network, and that it runs (${textOf(error)})`,
    ];
  }
  return ['internal', `an answer was not understood (${textOf(error)})`];
}

function byStatus(status: number, error: unknown, checksums: boolean, words: BucketWords): Said {
  // MinIO has a code for a disk that is nearly full, and none for one that fills in the middle of a write.
  const isFull = /no space left|drive path full/i.test(textOf(error));
  const says = BY_STATUS.get(isFull ? 507 : status) ?? (status >= 500 ? busy : undefined);
  const known = says?.(words);
  const told = `${status}, ${nameOf(error)}: ${textOf(error)}`;
  const without = words.withoutChecksums;
  if (checksums && [400, 411, 501].includes(status) && OF_CHECKSUMS.test(textOf(error)))
    return ['unavailable', `it does not know the checksums of S3: say ${without} (${told})`];
  if (status === 501 && checksums) return ['unavailable', `${UNKNOWN}, or try ${without} (${told})`];
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
