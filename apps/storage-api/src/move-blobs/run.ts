import { settingsOrPrint } from '@morpheo/service/config';
import { blobPlaceOf } from '../blob-settings.ts';
import { openBlobStore } from '../blob-store/index.ts';
import { loadMoveConfig, type MoveConfig } from './config.ts';
import { type MoveCounts, moveBlobs } from './move-blobs.ts';

/** What the command is run with. */
export interface RunMove {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Gets what is printed. */
  readonly output: { write(text: string): unknown };
  /** Ends the move between two pieces; what was copied stays, and is not copied again. */
  readonly signal?: AbortSignal | undefined;
}

const EVERY_MS = 5_000;

/** storage-api may work with one of the stores at the same time. */
const BESIDE = { shared: true };

/**
 * The command `move-blobs`. Resolves with its exit code: 0 where every blob is in the store that gets them, 1 where
 * some are not. Rejects where the settings are wrong or a store cannot be opened.
 */
export async function runMove({ argv, env, output, signal }: RunMove): Promise<number> {
  const config = settingsOrPrint(loadMoveConfig(argv, env), output);
  if (config === undefined) return 0;
  using from = await openBlobStore(await blobPlaceOf(config.from, config, config.dataDir), BESIDE);
  using to = await openBlobStore(await blobPlaceOf(config.to, config, config.dataDir), BESIDE);
  const began = performance.now();
  let told = began;
  const counts = await moveBlobs({
    ...{ from, to, signal, concurrency: config.concurrency },
    ...{ dryRun: config.dryRun, verify: config.verify, removeSource: config.removeSource },
    progress: (sofar) => {
      if (performance.now() - told < EVERY_MS) return;
      told = performance.now();
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
