export { answerError, type FakeAnswer, type FakeS3, startFakeS3 } from './fake-s3.ts';
export { bucketOptions, minioTest, sharedMinio } from './minio.ts';
export { TEST_WORDS } from './words.ts';
