export { answerError, type FakeAnswer, type FakeS3, startFakeS3 } from './fake-s3.ts';
export {
  bucketOptions,
  hasOtherServers,
  minioTest,
  sharedMinio,
  sharedS3,
  sharedVersitygw,
  type TestBucketOptions,
} from './minio.ts';
export { type BeforeRequest, type S3Proxy, startS3Proxy } from './proxy.ts';
export { TEST_WORDS } from './words.ts';
