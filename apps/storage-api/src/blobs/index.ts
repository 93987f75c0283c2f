export {
  type BlobLink,
  type BlobStore,
  type ByteRange,
  piecesOf,
  putBlob,
  type ReadyFile,
  type ReceivedBlob,
  type ReceiveOptions,
  type StoredBlob,
} from './blob-store.ts';
export { openLocalBlobStore } from './local/store.ts';
export { type BlobLocation, openBlobStore } from './open.ts';
export type { S3BlobStoreOptions } from './s3/options.ts';
