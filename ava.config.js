// Packages run their own tests with these settings: `ava` in a package's folder finds this file at the root.
export default {
  extensions: ['ts'],
  files: ['**/*.test.ts', '!**/node_modules/**'],
};
