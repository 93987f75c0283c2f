import { cp, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '@morpheo/common';
import { z } from 'zod';
import { ROOT } from './programs.ts';

const INSTALLED = join(ROOT, 'node_modules');

const manifest = z.object({
  dependencies: z.record(z.string(), z.string()).optional(),
  optionalDependencies: z.record(z.string(), z.string()).optional(),
});

/**
 * Puts packages, with all that they need on this machine, into `node_modules` of a folder; one that has them is left as it
 * is, and whoever does the same meanwhile is not in the way.
 */
export async function copyNative(packages: readonly string[], folder: string): Promise<void> {
  const wanted = new Map<string, string>();
  for (const name of packages) await collect(name, wanted);
  const place = join(folder, 'node_modules');
  const there = await Promise.all(
    [...wanted].map(async ([name, text]) => (await manifestOf(place, name)) === text),
  );
  if (there.every(Boolean)) return;
  const work = await mkdtemp(join(folder, '.native-'));
  try {
    const made = join(work, 'new');
    for (const name of wanted.keys())
      await cp(join(INSTALLED, name), join(made, name), { recursive: true, dereference: true });
    await rename(place, join(work, 'old')).catch(unless('ENOENT'));
    await rename(made, place).catch(unless('ENOTEMPTY', 'EEXIST'));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Adds a package and those that it needs; of the optional ones, which are for other machines, those that are here. */
async function collect(name: string, wanted: Map<string, string>): Promise<void> {
  if (wanted.has(name)) return;
  const text = await manifestOf(INSTALLED, name);
  if (text === undefined) throw new Error(`The package ${name} is not installed: run make install.`);
  wanted.set(name, text);
  const { dependencies = {}, optionalDependencies = {} } = manifest.parse(JSON.parse(text));
  for (const needed of Object.keys(dependencies)) await collect(needed, wanted);
  for (const possible of Object.keys(optionalDependencies)) {
    if ((await manifestOf(INSTALLED, possible)) !== undefined) await collect(possible, wanted);
  }
}

/** The text that says what a package is; undefined where it is not there. */
async function manifestOf(folder: string, name: string): Promise<string | undefined> {
  return await readFile(join(folder, name, 'package.json'), 'utf8').catch(unless('ENOENT'));
}

/** Passes over errors of these kinds. */
function unless(...codes: readonly string[]): (error: unknown) => undefined {
  return (error) => {
    if (!codes.includes(errnoOf(error) ?? '')) throw error;
    return undefined;
  };
}
