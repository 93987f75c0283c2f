export type { BlobLink, BlobStore, ByteRange, PutOptions, StoredBlob } from './blob-store.ts';
export { openLocalBlobStore } from './local.ts';
export { type BlobPlace, openBlobStore } from './open.ts';
export type { S3BlobStoreOptions } from './s3/options.ts';
