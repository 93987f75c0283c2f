export { type BlobPlace, type BlobStore, openLocalBlobStore } from './blob-store/index.ts';
export { type StorageDatabase, type StorageSchema, storageMigrations } from './schema.ts';
export { openStorageService, type StorageService, type StorageServiceOptions } from './service.ts';
export { type CreateStorage, createStorage, type Storage } from './storage.ts';
export { DEFAULT_SETTINGS, type StorageSettings } from './storage-settings.ts';
