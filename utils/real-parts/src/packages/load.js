// ava loads this before each test file, and a program that a test starts loads it first. The modules of this repository
// then get the packages that `join.ts` has joined from the folder that MORPHEO_TEST_PACKAGES names.
import { existsSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';

const folder = process.env.MORPHEO_TEST_PACKAGES;
const known = new Map();

/** The file in place of a package, or null. */
function joined(name) {
  const path = `${folder}/${name.replaceAll('/', '+')}.mjs`;
  const found = existsSync(path)
    ? { url: pathToFileURL(path).href, format: 'module', shortCircuit: true }
    : null;
  known.set(name, found);
  return found;
}

if (folder !== undefined) {
  registerHooks({
    resolve(name, context, next) {
      const isOurs =
        /^[@a-z]/.test(name) && !name.startsWith('node:') && !context.parentURL?.includes('/node_modules/');
      const found = isOurs ? (known.get(name) ?? joined(name)) : null;
      return found ?? next(name, context);
    },
  });
}
