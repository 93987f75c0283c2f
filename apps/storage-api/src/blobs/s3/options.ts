import type { BucketOptions, LinkOptions } from '@morpheo/service/buckets';

/** Where an S3 blob store keeps its objects, and how it gets there; errors call it by {@link STORE_WORDS}. */
export interface S3BlobStoreOptions extends Omit<BucketOptions, 'words'> {
  /** What the keys begin with, so that several stores may share a bucket; nothing where absent. */
  readonly prefix?: string | undefined;
  /** False: for servers that copy an object of any size at once, and know no copies in parts. */
  readonly partCopies?: boolean | undefined;
  /** Whether several processes put and remove here, by the same rows; costs three calls for each put and removal. */
  readonly shared?: boolean | undefined;
  /** Makes the bucket where it is not there. */
  readonly createBucket?: boolean | undefined;
  /** Lets `link` hand out signed addresses; where absent, there is no `link`. */
  readonly links?: LinkOptions | undefined;
}

/** How errors call the store and the settings of storage-api. */
export const STORE_WORDS: BucketOptions['words'] = {
  subject: 'The blob store',
  keys: '--s3-access-key and --s3-secret-key',
  endpoint: '--s3-endpoint',
  region: '--s3-region',
  ca: '--s3-ca',
  withoutChecksums: '--s3-checksums when-required',
  encryption: '--s3-sse',
  noBucket: 'create it, correct --s3-bucket, or say --s3-create-bucket',
  badName: 'correct --s3-bucket',
  rights: 'list, read, write and delete in the bucket',
  denied: 'unavailable',
};
