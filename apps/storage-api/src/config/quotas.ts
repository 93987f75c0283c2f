import { readFile } from 'node:fs/promises';
import { PlatformError } from '@morpheo/common';
import { defineSettings, duration, type SettingsOf, size } from '@morpheo/service/config';
import { z } from 'zod';
import { DEFAULT_SETTINGS } from './settings.ts';

const DAY_MS = 86_400_000;

/** How often what is stored is read, and how fast. */
export const scrubSettings = defineSettings({
  scrubRate: {
    flag: 'scrub-rate',
    env: 'MORPHEO_STORAGE_SCRUB_RATE',
    schema: size,
    default: DEFAULT_SETTINGS.scrubRate,
    help: 'How much a scrub reads in a second, such as 20MiB.',
  },
});

/** What owners may have, and how often what is stored is read to find what is damaged. */
export const ledgerSettings = defineSettings({
  quota: {
    flag: 'quota',
    env: 'MORPHEO_STORAGE_QUOTA',
    schema: size.optional(),
    help: 'The most bytes that who uploads may have, such as 100GiB; any where absent.',
  },
  quotas: {
    flag: 'quotas',
    env: 'MORPHEO_STORAGE_QUOTAS',
    schema: z.string().min(1).optional(),
    help: 'JSON file of the quotas of single owners, by name: {"alice": "1TiB", "bob": 1000000}.',
  },
  openUploads: {
    flag: 'open-uploads',
    env: 'MORPHEO_STORAGE_OPEN_UPLOADS',
    schema: z.coerce.number().int().min(0).max(1_000_000),
    default: DEFAULT_SETTINGS.openUploads,
    help: 'How many resumable uploads one owner may have begun and not ended; 0 for any number.',
  },
  openUploadBytes: {
    flag: 'open-upload-bytes',
    env: 'MORPHEO_STORAGE_OPEN_UPLOAD_BYTES',
    schema: z.union([z.literal('0').transform(() => 0), size]).optional(),
    help: 'How many bytes these may have announced together, such as 100GiB; 0 for any, ten times --max-upload-bytes where absent.',
  },
  ownerMetrics: {
    flag: 'owner-metrics',
    env: 'MORPHEO_STORAGE_OWNER_METRICS',
    schema: z.coerce.number().int().min(0).max(1000),
    default: DEFAULT_SETTINGS.ownerMetrics,
    help: 'Of how many owners, those that have most, the metrics tell the bytes by name; 0: of none.',
  },
  scrubEveryMs: {
    flag: 'scrub-every',
    env: 'MORPHEO_STORAGE_SCRUB_EVERY',
    schema: z.union([z.literal('off').transform(() => null), duration]),
    default: 7 * DAY_MS,
    help: 'How long after all blobs were read and compared with their digests that is done again, such as 7d; or off.',
  },
  ...scrubSettings,
});

const amount = z.union([z.int().positive(), size]);
const file = z.record(z.string().min(1), amount);

/** The quotas of the file of `--quotas`, in bytes by name. Throws `invalid_request` that says what is wrong with it. */
export async function readQuotas({
  quotas: path,
}: Pick<SettingsOf<typeof ledgerSettings>, 'quotas'>): Promise<Record<string, number> | undefined> {
  if (path === undefined) return undefined;
  try {
    return file.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause);
    throw new PlatformError('invalid_request', `--quotas cannot be used, the file ${path}: ${reason}`, {
      cause,
    });
  }
}
