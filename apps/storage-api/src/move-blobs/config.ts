import { VERSION } from '@morpheo/common';
import { defineSettings, loadSettings, type SettingsOf } from '@morpheo/service/config';
import { z } from 'zod';
import { BLOB_STORES, bucketContradictions, s3Settings } from '../config/blobs.ts';

const kind = z.enum(BLOB_STORES);

/** The settings of the command; those of the stores are storage-api's own. */
export const settings = defineSettings({
  from: {
    flag: 'from',
    env: 'MORPHEO_MOVE_FROM',
    schema: kind,
    help: 'The store that has the blobs: local, s3, or gc.',
  },
  to: {
    flag: 'to',
    env: 'MORPHEO_MOVE_TO',
    schema: kind,
    help: 'The store that gets them: local, s3, or gc.',
  },
  dataDir: {
    flag: 'data-dir',
    env: 'MORPHEO_STORAGE_DATA_DIR',
    schema: z.string().min(1),
    default: '/data',
    help: 'The folder of the local store.',
  },
  ...s3Settings,
  concurrency: {
    flag: 'concurrency',
    env: 'MORPHEO_MOVE_CONCURRENCY',
    schema: z.coerce.number().int().min(1).max(64),
    default: 4,
    help: 'How many blobs are copied at once.',
  },
  dryRun: {
    flag: 'dry-run',
    env: 'MORPHEO_MOVE_DRY_RUN',
    schema: z.stringbool(),
    default: false,
    switch: true,
    help: 'Change nothing; say what would be copied, and removed.',
  },
  verify: {
    flag: 'verify',
    env: 'MORPHEO_MOVE_VERIFY',
    schema: z.stringbool(),
    default: false,
    switch: true,
    help: 'Read every blob back and compare its digest, also of those that were there; --remove-source does it anyway.',
  },
  removeSource: {
    flag: 'remove-source',
    env: 'MORPHEO_MOVE_REMOVE_SOURCE',
    schema: z.stringbool(),
    default: false,
    switch: true,
    help: 'Remove each blob from --from once it was read back from --to. Not while storage-api works with --from.',
  },
});

/** See {@link settings}. */
export type MoveConfig = SettingsOf<typeof settings>;

/** Reads the settings; the result may be the text of `--help` instead. Throws `invalid_request` naming every problem. */
export function loadMoveConfig(argv: readonly string[], env: Readonly<Record<string, string | undefined>>) {
  return loadSettings({
    name: 'move-blobs',
    description:
      'Copies the blobs of storage-api from one store to another, and compares every digest on the way.',
    version: VERSION,
    settings,
    check: contradictions,
    argv,
    env,
  });
}

function contradictions(config: MoveConfig): string[] {
  const { from, to } = config;
  const buckets = [from, to].filter((one) => one !== 'local');
  const problems: [boolean, string][] = [
    [buckets.length === 0, '--from and --to are both local: one of them must be a bucket.'],
    [buckets.length > 1, '--from and --to are both buckets: go by way of local, or use the tools of S3.'],
  ];
  return [
    ...problems.flatMap(([wrong, problem]) => (wrong ? problem : [])),
    ...bucketContradictions(buckets[0] ?? 'local', config),
  ];
}
