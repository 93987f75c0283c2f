export { type CallOptions, type Calls, openCalls } from './calls.ts';
export { type EnsureBucket, ensureBucket, hasBucket, makeBucket, pingBucket } from './check.ts';
export { copyObject, type ObjectCopy } from './copy.ts';
export { type BucketLocation, type BucketWords, statusOf } from './errors.ts';
export { type LinkedFile, linkSigner } from './links.ts';
export { abortUpload, partBytesFor, uploadedBytes } from './multipart.ts';
export {
  deleteObject,
  listObjects,
  type ObjectFacts,
  type PutOptions,
  putObject,
  statObject,
} from './objects.ts';
export type {
  BucketCredentials,
  BucketEncryption,
  BucketOptions,
  BucketTuning,
  LinkOptions,
} from './options.ts';
export type { Measured } from './parts.ts';
export { type ReadOptions, readObject, readStart } from './read.ts';
export { ObjectUpload, type UploadOptions } from './upload.ts';
export { versionsWarning } from './versions.ts';
