import { z } from 'zod';

/**
 * Which GPUs a worker leases to orders. `auto`: those that the runtime finds where it has signs of any; `all`: as well,
 * yet it looks without any sign, and that it finds none is an error worth a line; `none`; or a list of names, each the
 * index or the UUID that `nvidia-smi` shows.
 */
export type GpuChoice = 'auto' | 'all' | 'none' | readonly string[];

const WORDS = ['auto', 'all', 'none'] as const;
const NAME = /^(?:\d{1,3}|(?:GPU|MIG)-[0-9A-Za-z/-]{1,100})$/;

/** A {@link GpuChoice} as a setting has it: a word, or names with commas between. */
export const gpuChoice = z.string().transform((text, context): GpuChoice => {
  const word = WORDS.find((known) => known === text.trim());
  if (word !== undefined) return word;
  const names = text.split(',').map((name) => name.trim());
  if (names.every((name) => NAME.test(name))) return [...new Set(names)];
  const message = 'should be auto, all, none, or indexes or UUIDs of GPUs with commas between, such as 0,1';
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});
