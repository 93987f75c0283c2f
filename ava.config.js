// Packages run their own tests with these settings: `ava` in a package's folder finds this file at the root.
import { fileURLToPath } from 'node:url';
import { joinPackages } from './utils/real-parts/src/packages/join.ts';
import { REPORTING } from './utils/real-parts/src/test-run/observe.ts';
import { longestFirst } from './utils/real-parts/src/test-run/order.ts';

// Each test file has a thread of its own, which loads all modules anew: a third of that work is for a few packages of
// many files.
process.env.MORPHEO_TEST_PACKAGES ??= await joinPackages();
const loadJoined = fileURLToPath(new URL('utils/real-parts/src/packages/load.js', import.meta.url));

// `make test` runs the files that judge time or memory by themselves, at the end.
const isInCompany = process.env.MORPHEO_TESTS === 'in company';

export default {
  extensions: ['ts'],
  // Of a package's tests together, without a sign of life: real servers on a busy machine take their time.
  timeout: '5m',
  concurrency: 3,
  // It would keep which files failed, in a folder that other users, as which tests run some files, cannot make.
  cache: false,
  sortTestFiles: longestFirst,
  files: ['**/*.test.ts', '!**/node_modules/**', ...(isInCompany ? ['!**/*.alone.test.ts'] : [])],
  ...REPORTING,
  require: [loadJoined, ...REPORTING.require],
};
