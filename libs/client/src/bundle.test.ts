import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { build } from 'esbuild';

/** What a page has to load; it is about 43 kB while zod is imported as a namespace, and 107 kB when it is not. */
const MOST_BYTES = 60_000;

for (const entry of ['index.ts', 'dicebox.ts']) {
  test(`A browser bundle of the typed clients of ${entry} stays small`, async (t) =>
    await staysSmall(t, entry));
}

async function staysSmall(t: ExecutionContext, entry: string): Promise<void> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(entry, import.meta.url))],
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
}
