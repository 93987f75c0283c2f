import { z } from 'zod';

const MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const SHOWN_SIZES = [
  ['TiB', 1024 ** 4],
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
] as const;
const BYTES = { '': 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3, tib: 1024 ** 4 } as const;

/**
 * A duration as the original services' flags have it (Go's `time.ParseDuration`): `20m`, `1h30m`, `500ms`;
 * and days, `7d`. In milliseconds.
 */
export const duration = z
  .string()
  .regex(/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/, 'should be a duration such as 20m, 1h30m or 500ms')
  .transform((text) => {
    let ms = 0;
    for (const [, value, unit] of text.matchAll(/([\d.]+)(ms|s|m|h|d)/g)) ms += Number(value) * msOf(unit);
    return Math.round(ms);
  })
  .refine((ms) => ms > 0 && ms <= 2 ** 31 - 1, 'should be more than 0 and at most 24 days');

/** A number of bytes: `512MiB`, `20GiB`, or plain bytes. */
export const size = z
  .string()
  .regex(/^\d{1,15}(?:[KMGT]iB)?$/i, 'should be a number of bytes such as 512MiB or 20GiB')
  .transform((text) => {
    const [, value, unit = ''] = /^(\d+)(.*)$/.exec(text) ?? [];
    return Number(value) * BYTES[unit.toLowerCase() as keyof typeof BYTES];
  })
  .refine((bytes) => bytes > 0 && Number.isSafeInteger(bytes), 'should be more than 0 and less than 9 PB');

/** A duration in milliseconds as {@link duration} reads it: in the largest unit that it is a whole number of. */
export function durationText(ms: number): string {
  const [unit, factor] = Object.entries(MS)
    .toReversed()
    .find(([, each]) => ms % each === 0) ?? ['ms', 1];
  return `${ms / factor}${unit}`;
}

/** A number of bytes as {@link size} reads it, likewise. */
export function sizeText(bytes: number): string {
  const [unit, factor] = SHOWN_SIZES.find(([, each]) => bytes % each === 0) ?? ['', 1];
  return `${bytes / factor}${unit}`;
}

function msOf(unit: string | undefined): number {
  return unit !== undefined && unit in MS ? MS[unit as keyof typeof MS] : Number.NaN;
}
