import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the repository. */
export const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

const FOLDERS =
  '{apps/*/src,libs/*/src,utils/*/src,examples/*/demo,programs/*/src,simulation,chaos,bench,packaging}';

/** TypeScript files by their path from the root, with their text. */
export type Tree = ReadonlyMap<string, string>;

/** Reads every TypeScript file of every package, tests too. */
export async function readTree(): Promise<Tree> {
  const files = new Map<string, string>();
  const isInstalled = (name: string) => name.includes('node_modules');
  for await (const path of glob(`${FOLDERS}/**/*.ts`, { cwd: ROOT, exclude: isInstalled })) {
    files.set(path, await readFile(join(ROOT, path), 'utf8'));
  }
  return files;
}

/** What only tests run or read, and declarations. */
const NOT_SHIPPED = /\.d\.ts$|\.test\.|\.fixture\.|\/testing|\/conformance|\/stored-data/;

/** The part of a tree that is shipped or run by itself: without tests, and what only tests use. */
export function sourcesOf(files: Tree): Tree {
  return new Map([...files].filter(([path]) => !NOT_SHIPPED.test(path)));
}
