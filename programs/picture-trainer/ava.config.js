import { REPORTING } from '../../utils/real-parts/src/test-run/observe.ts';

// The tests train for real: one file after the other, since each takes all cores and some hundred megabytes.
export default {
  extensions: ['ts'],
  files: ['src/**/*.test.ts'],
  timeout: '5m',
  concurrency: 1,
  // The library reads the environment of the process, which a thread has a copy of.
  workerThreads: false,
  cache: false,
  ...REPORTING,
};
