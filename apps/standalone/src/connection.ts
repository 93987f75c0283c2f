import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** How a client on this machine finds the platform: what `connection.json` in the data folder holds. */
export interface Connection {
  readonly storage: string;
  readonly compute: string;
  readonly orchestrator: string;
  /** Shepherd's API, where there is one. */
  readonly shepherd?: string;
  /** dicebox's pictures and trainings, its classification, and the key of both, where they are there. */
  readonly dicebox?: string;
  readonly classification?: string;
  readonly api_key?: string;
  readonly credentials: { readonly name: string; readonly secret: string };
}

/**
 * Writes `connection.json`, readable by its owner alone, for as long as the platform runs: disposing removes it, so
 * that no client sends its credentials to whoever has the ports next.
 */
export async function publishConnection(folder: string, connection: Connection): Promise<AsyncDisposable> {
  const path = join(folder, 'connection.json');
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  {
    await using file = await open(temporary, 'wx', 0o600);
    await file.writeFile(`${JSON.stringify(connection, null, 2)}\n`);
    // Else a power cut leaves the name, and nothing behind it.
    await file.sync();
  }
  await rename(temporary, path);
  return {
    async [Symbol.asyncDispose]() {
      await rm(path, { force: true });
    },
  };
}
