import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder that is removed with all that is in it. */
export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
  /** A path in it. */
  readonly file: (name: string) => string;
}

/** Makes a {@link TemporaryFolder}. */
export async function temporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), 'morpheo-cli-'));
  return {
    path,
    file: (name) => join(path, name),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}
