import { cp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ROOT } from './programs.ts';

const manifest = z.object({
  dependencies: z.record(z.string(), z.string()).optional(),
  optionalDependencies: z.record(z.string(), z.string()).optional(),
});

/**
 * Puts packages, with all that they need on this machine, into a folder `node_modules` in the place of what was there;
 * makes none where there are no packages.
 */
export async function copyNative(packages: readonly string[], folder: string): Promise<void> {
  if (packages.length === 0) return;
  const wanted = new Set<string>();
  for (const name of packages) await collect(name, wanted);
  const made = `${folder}.new`;
  await rm(made, { recursive: true, force: true });
  for (const name of wanted) {
    await cp(join(ROOT, 'node_modules', name), join(made, name), { recursive: true, dereference: true });
  }
  await rm(folder, { recursive: true, force: true });
  await rename(made, folder);
}

/** Adds a package and those that it needs; of the optional ones, which are for other machines, those that are here. */
async function collect(name: string, wanted: Set<string>): Promise<void> {
  if (wanted.has(name)) return;
  const path = join(ROOT, 'node_modules', name, 'package.json');
  const { dependencies = {}, optionalDependencies = {} } = manifest.parse(
    JSON.parse(await readFile(path, 'utf8')),
  );
  wanted.add(name);
  for (const needed of Object.keys(dependencies)) await collect(needed, wanted);
  for (const possible of Object.keys(optionalDependencies)) {
    await collect(possible, wanted).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
}
