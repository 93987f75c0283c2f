// Packages run their own tests with these settings: `ava` in a package's folder finds this file at the root.
export default {
  extensions: ['ts'],
  // Of a package's tests together, without a sign of life: real servers on a busy machine take their time.
  timeout: '2m',
  files: ['**/*.test.ts', '!**/node_modules/**'],
};
