export { type BlobLocation, type BlobStore, openLocalBlobStore } from './blobs/index.ts';
export { DEFAULT_SETTINGS, type StorageSettings } from './config/settings.ts';
export { type StorageDatabase, type StorageSchema, storageMigrations } from './metadata/schema.ts';
export { openStorageService, type StorageService, type StorageServiceOptions } from './service.ts';
export { type CreateStorage, createStorage, type Storage } from './storage.ts';
