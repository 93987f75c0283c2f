import { settingsOrPrint } from '@morpheo/service/config';
import { openBlobStore } from '../blobs/index.ts';
import { blobLocationOf } from '../config/blobs.ts';
import type { CommandRun } from '../maintenance/command.ts';
import { loadMoveConfig, type MoveConfig } from './config.ts';
import { type MoveCounts, moveBlobs } from './move-blobs.ts';

const EVERY_MS = 5_000;

/** storage-api may work with one of the stores at the same time. */
const BESIDE = { shared: true };

/**
 * The command `move-blobs`. Resolves with its exit code: 0 where every blob is in the store that gets them, 1 where
 * some are not. Rejects where the settings are wrong or a store cannot be opened.
 */
export async function runMove({ argv, env, output, signal }: CommandRun): Promise<number> {
  const config = settingsOrPrint(loadMoveConfig(argv, env), output);
  if (config === undefined) return 0;
  using from = await openBlobStore(await blobLocationOf(config.from, config, config.dataDir), BESIDE);
  using to = await openBlobStore(await blobLocationOf(config.to, config, config.dataDir), BESIDE);
  const began = performance.now();
  let reportedAt = began;
  const counts = await moveBlobs({
    ...{ from, to, signal, concurrency: config.concurrency },
    ...{ dryRun: config.dryRun, verify: config.verify, removeSource: config.removeSource },
    progress: (sofar) => {
      if (performance.now() - reportedAt < EVERY_MS) return;
      reportedAt = performance.now();
      output.write(`${describe(sofar, config)} (of ${amount(sofar.total)})\n`);
    },
    failed: (digest, error) => {
      output.write(`${digest} was not moved: ${error instanceof Error ? error.message : String(error)}\n`);
    },
  });
  const seconds = (performance.now() - began) / 1000;
  output.write(`${describe(counts, config)}, in ${seconds.toFixed(1)} s\n`);
  return counts.failed === 0 ? 0 : 1;
}

function describe(
  { copied, present, removed, failed }: MoveCounts,
  { from, to, dryRun, removeSource }: MoveConfig,
): string {
  const would = dryRun ? 'would be ' : '';
  return [
    `${amount(copied)} ${would}copied from ${from} to ${to}`,
    `${present} were there`,
    ...(removeSource ? [`${removed} ${would}removed from ${from}`] : []),
    `${failed} failed`,
  ].join(', ');
}

function amount({ blobs, bytes }: { readonly blobs: number; readonly bytes: number }): string {
  return `${blobs} blobs (${(bytes / 1024 ** 2).toFixed(1)} MiB)`;
}
