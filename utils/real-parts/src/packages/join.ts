import { hash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'esbuild';

/** Packages of dozens or hundreds of files, which nearly every process loads. */
export const JOINED: readonly string[] = [
  ...['kysely', 'kysely/migration', 'zod', 'jose'],
  ...['koa', '@koa/router', '@koa/cors', 'prom-client', 'rate-limiter-flexible'],
];

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/**
 * A folder with a file `NAME.mjs` for each package of {@link JOINED}, all of it in one, `+` for each `/` of its name.
 * Node takes a fifth of the work to load it. They are made where these versions have not been joined before.
 */
export async function joinPackages(): Promise<string> {
  const installed = readFileSync(join(ROOT, 'package-lock.json'));
  const key = hash('sha256', Buffer.concat([installed, readFileSync(fileURLToPath(import.meta.url))]));
  const folder = join(ROOT, 'node_modules/.cache', `joined-packages-${key.slice(0, 16)}`);
  if (!existsSync(folder)) await make(folder);
  return folder;
}

async function make(folder: string): Promise<void> {
  // Loaded where it is used: mostly the folder is there.
  const { build } = await import('esbuild');
  const work = await mkdtemp(`${folder}-`);
  try {
    await build({
      entryPoints: JOINED.map((name) => ({ in: `joined:${name}`, out: name.replaceAll('/', '+') })),
      ...{ outdir: work, outExtension: { '.js': '.mjs' }, absWorkingDir: ROOT },
      ...{ bundle: true, splitting: true, format: 'esm', platform: 'node', target: 'node24' },
      plugins: [wholePackages],
      // Packages in CommonJS ask for modules of Node's.
      banner: {
        js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
      },
      logLevel: 'warning',
    });
    // Another test may have been quicker.
    await rename(work, folder).catch(() => undefined);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** An entry that exports what the package does: esbuild cannot tell that of one in CommonJS, and Node can. */
const wholePackages: Plugin = {
  name: 'whole packages',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^joined:/ }, ({ path }) => ({
      path: path.slice('joined:'.length),
      namespace: 'joined',
    }));
    onLoad({ filter: /.*/, namespace: 'joined' }, async ({ path }) => {
      const names = Object.keys((await import(path)) as object).filter((name) => name !== 'module.exports');
      return { resolveDir: ROOT, contents: `export { ${names.join()} } from '${path}';` };
    });
  },
};
