import type { BucketWords } from '../errors.ts';

/** How errors of a test call its bucket. */
export const TEST_WORDS: BucketWords = {
  subject: 'The bucket of the test',
  keys: 'its keys',
  endpoint: 'its endpoint',
  region: 'its region',
  ca: 'its authority',
  withoutChecksums: 'no checksums',
  encryption: 'its encryption',
  noBucket: 'make it',
  badName: 'rename it',
  rights: 'read it',
  denied: 'forbidden',
};
