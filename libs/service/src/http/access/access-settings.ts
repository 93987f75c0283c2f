import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { defineSettings } from '../../config/index.ts';
import { watchFiles } from '../../lifecycle/index.ts';
import type { Log } from '../../log/index.ts';
import type { ListenTls } from '../server/listen.ts';
import { refuseOpenListen } from './bind.ts';
import { type Callers, createCallers } from './credentials.ts';
import { parseCredentials } from './credentials-file.ts';
import { tellShadowed } from './directory.ts';
import type { CredentialEntry } from './known-callers.ts';

/** The settings of who may call; `prefix` begins their variables, `note` ends the help of `--insecure-open`. */
export function accessSettings(prefix: string, note = '') {
  return defineSettings({
    credentials: {
      flag: 'credentials',
      env: `${prefix}CREDENTIALS`,
      schema: z.string().min(1).optional(),
      help: 'JSON file of who may call: a list of {name, roles, secretHash}. Read again when it changes.',
    },
    insecureOpen: {
      flag: 'insecure-open',
      env: `${prefix}INSECURE_OPEN`,
      schema: z.stringbool(),
      default: false,
      switch: true,
      help: `Serve without any credentials: whoever reaches the port may do everything.${note}`,
    },
  });
}

/** The values of {@link accessSettings}, and where the service listens. */
export interface AccessConfig {
  readonly host: string;
  readonly credentials: string | undefined;
  readonly insecureOpen: boolean;
}

/** Who may call a service, kept up to date until it is disposed. */
export interface Access extends AsyncDisposable {
  /** Null where nobody is asked for credentials. */
  readonly callers: Callers | null;
  /** Puts these callers in the place of the `others` that it was opened with. Throws as `Callers.replace` does. */
  replaceOthers(others: readonly CredentialEntry[]): void;
}

/** What {@link openAccess} is given beside the settings. */
export interface OpenAccess {
  readonly log: Log;
  /** Callers beside those of the file. */
  readonly others?: readonly CredentialEntry[] | undefined;
  /** How often the file is looked at, in milliseconds; see `watchFiles`. */
  readonly everyMs?: number | undefined;
}

/**
 * Who may call, as the settings say: those of the file, which is read again whenever it changes, and `others`. Throws
 * `invalid_request` where the file is no good, and where asking nobody would open the service to the network without
 * plain words.
 */
export async function openAccess(
  { host, credentials: file, insecureOpen }: AccessConfig,
  { log, others = [], everyMs }: OpenAccess,
): Promise<Access> {
  const authenticated = file !== undefined || others.length > 0;
  refuseOpenListen({ host, authenticated, acknowledged: insecureOpen, setting: '--insecure-open' });
  const nothing = { [Symbol.asyncDispose]: async () => undefined };
  if (!authenticated) return { callers: null, replaceOthers: () => undefined, ...nothing };
  const callers = createCallers(others);
  let known = { ofFile: [] as readonly CredentialEntry[], others };
  const replace = (change: Partial<typeof known>): void => {
    const next = { ...known, ...change };
    tellShadowed(log, callers.replace('file', [...next.ofFile, ...next.others]));
    known = next;
  };
  const replaceOthers = (given: readonly CredentialEntry[]): void => replace({ others: given });
  if (file === undefined) return { callers, replaceOthers, ...nothing };
  const changed = ([text = '']: readonly string[]): void => replace({ ofFile: parseCredentials(text, file) });
  const watched = await watchFiles({ name: 'credentials', paths: [file], changed, everyMs, log });
  return {
    callers,
    replaceOthers,
    [Symbol.asyncDispose]: async () => await watched[Symbol.asyncDispose](),
  };
}

/** The PEM texts of the certificate and the key that the settings name, and their files; undefined where they name none. */
export async function readTls({
  cert,
  key,
}: {
  readonly cert: string | undefined;
  readonly key: string | undefined;
}): Promise<ListenTls | undefined> {
  if (cert === undefined || key === undefined) return undefined;
  const texts = { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
  return { ...texts, files: { cert, key } };
}
