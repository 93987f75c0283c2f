import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { computeClient, orchestratorClient } from '@morpheo/client';
import type { Api, ComputeContract, OrchestratorContract } from '@morpheo/common';
import { createLog } from '@morpheo/service/log';
import { type Connection, startPlatform } from '@morpheo/standalone';

/** The platform that the demonstration runs on. */
export interface DemoPlatform extends AsyncDisposable {
  /** The folder in which the command line tool finds where it is. */
  readonly home: string;
  readonly connection: Connection;
  readonly compute: Api<ComputeContract>;
  readonly orchestrator: Api<OrchestratorContract>;
}

/** A new platform in this process, which keeps everything in `folder`; disposing stops it. */
export async function startOwn(folder: string): Promise<DemoPlatform> {
  const destination = createWriteStream(join(folder, 'platform.log'));
  const log = createLog({ service: 'demo', level: 'info', destination });
  const home = join(folder, 'platform');
  return { home, ...(await startPlatform({ folder: home, slots: { learn: 2, predict: 1 }, log })) };
}

/** The platform that runs already and has written `connection.json` into the folder `home`; it goes on running. */
export async function findRunning(home: string): Promise<DemoPlatform> {
  const file = join(home, 'connection.json');
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`No platform runs in ${home}: start it (make dev) and try again.`, { cause });
  });
  const connection = JSON.parse(text) as Connection;
  const { compute, orchestrator, credentials } = connection;
  return {
    home,
    connection,
    compute: computeClient({ url: compute, credentials }),
    orchestrator: orchestratorClient({ url: orchestrator, credentials }),
    async [Symbol.asyncDispose]() {},
  };
}
