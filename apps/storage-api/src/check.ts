import { join } from 'node:path';
import {
  credentialsProbe,
  folderProbe,
  type Probes,
  ticketKeysProbe,
  tlsProbe,
  traceProbes,
} from '@morpheo/service/check';
import { checkDatabase, readDatabasePlace } from '@morpheo/service/database';
import { blobLocationWarning, checkBlobLocation } from './blobs/open.ts';
import { blobLocationOf } from './config/blobs.ts';
import { ownCaller, type StorageConfig } from './config/config.ts';
import { storageMigrations as migrations } from './metadata/schema.ts';
import { DATABASE_FILE, DATABASE_OWNER, UPLOADS_FOLDER } from './service.ts';

const NO_TICKETS =
  'No attempt can read or stage anything: give --ticket-key-file, the same as to compute-api.';

/** What `--check` of storage-api asks. */
export function probesOf(config: StorageConfig): Probes {
  const { dataDir, credentials, cert, key, blobstore, ticketKeyFile, insecureOpen } = config;
  const location = async () => await blobLocationOf(blobstore, config, dataDir);
  return {
    'data folder': folderProbe(dataDir, [UPLOADS_FOLDER]),
    ...(credentials === undefined
      ? {}
      : { credentials: credentialsProbe(credentials, async () => await ownCaller(config)) }),
    ...(cert === undefined || key === undefined ? {} : { tls: tlsProbe(cert, key) }),
    // Where nobody is asked for credentials, attempts need no ticket either.
    'ticket keys': ticketKeysProbe(ticketKeyFile, insecureOpen ? undefined : NO_TICKETS),
    database: {
      ask: async () => {
        const target = await readDatabasePlace(config, join(dataDir, DATABASE_FILE));
        return await checkDatabase(target, { owner: DATABASE_OWNER, migrations });
      },
    },
    blobs: {
      ask: async (signal) => await checkBlobLocation(await location(), signal),
      warn: async (signal) => await blobLocationWarning(await location(), signal),
    },
    ...traceProbes(config),
  };
}
