import { rm } from 'node:fs/promises';
import { type PackedArchive, packFolder } from '../archive/pack.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { count, formatBytes } from '../steps/format.ts';
import { collectAll } from './collect.ts';

/**
 * Packs what a job left in its folder of outputs, files and folders, as a plain `.tar` at `target`; what stands there is
 * replaced. Throws `OrderFailure` that names what may not be in it, or what there is too much of.
 */
export async function packOutputs(
  folder: string,
  { at, target }: { /** The folder's path for the job. */ readonly at: string; readonly target: string },
  attempt: Attempt,
): Promise<PackedArchive> {
  const { treeLimits: limits, signal } = attempt;
  const { files, folders } = await collectAll(folder, { limits, at, signal });
  await rm(target, { force: true });
  const packed = await packFolder(folder, { files, folders, compressed: false, target, signal });
  attempt.log('results', `results: ${count(files.length, 'file')}, ${formatBytes(packed.size)} as a tar`);
  return packed;
}
