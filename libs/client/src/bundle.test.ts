import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import test from 'ava';
import { build } from 'esbuild';

/** What a page has to load; it is about 43 kB while zod is imported as a namespace, and 107 kB when it is not. */
const MOST_BYTES = 60_000;

test('A browser bundle of the typed clients stays small', async (t) => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('index.ts', import.meta.url))],
    bundle: true,
    format: 'esm',
    minify: true,
    platform: 'browser',
    write: false,
  });
  const [bundle] = outputFiles;
  const bytes = gzipSync(bundle?.contents ?? '', { level: 9 }).byteLength;
  t.log(`${Math.round(bytes / 1000)} kB gzipped`);
  t.true(bytes > 1000 && bytes < MOST_BYTES, `${bytes} bytes`);
});
