import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { CliError, EXIT, usageError } from '../exit-codes.ts';
import { readConnection } from './connection-file.ts';

/** The services of a platform that the commands call. */
export const SERVICES = ['storage', 'compute', 'orchestrator'] as const;

/** Services that a platform may have beside them. */
export const FURTHER_SERVICES = ['dicebox', 'classification'] as const;

/** One of {@link SERVICES}, or of those that a platform may have beside them. */
export type ServiceName = (typeof SERVICES)[number] | (typeof FURTHER_SERVICES)[number];

/** Where a service is and who calls it. */
export interface ServiceAddress {
  readonly url: string;
  readonly credentials: { readonly name: string; readonly secret: string } | undefined;
}

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The flags that say where the platform is. */
export interface PlatformFlags {
  readonly home?: string | undefined;
  readonly storage?: string | undefined;
  readonly compute?: string | undefined;
  readonly orchestrator?: string | undefined;
  /** Not `dicebox`, which `morpheo up` has for itself. */
  readonly diceboxUrl?: string | undefined;
  readonly user?: string | undefined;
}

const VARIABLES: Record<ServiceName, string> = {
  storage: 'MORPHEO_STORAGE_URL',
  compute: 'MORPHEO_COMPUTE_URL',
  orchestrator: 'MORPHEO_ORCHESTRATOR_URL',
  dicebox: 'MORPHEO_DICEBOX_URL',
  classification: 'MORPHEO_CLASSIFICATION_URL',
};

const serviceUrl = z.url({ protocol: /^https?$/ });

/** The data folder of the platform on this machine: `--home`, MORPHEO_HOME, or `.morpheo` in the home folder. */
export function dataFolder(flags: PlatformFlags, env: Environment): string {
  return flags.home ?? nonEmpty(env.MORPHEO_HOME) ?? join(nonEmpty(env.HOME) ?? homedir(), '.morpheo');
}

/** The file in which a platform says where it listens. */
export function connectionFile(folder: string): string {
  return join(folder, 'connection.json');
}

/**
 * Finds the services: each by its flag, else its environment variable, else the data folder's `connection.json`.
 * The credentials of that file go to the addresses of that file alone; MORPHEO_USER (or `--user`) with
 * MORPHEO_PASSWORD go to every address. Throws a `CliError` where nothing is found or something is malformed.
 */
export async function findPlatform(
  flags: PlatformFlags,
  env: Environment,
): Promise<(name: ServiceName) => ServiceAddress> {
  const file = connectionFile(dataFolder(flags, env));
  const given = credentialsOf(flags, env);
  const named = new Map([...SERVICES, ...FURTHER_SERVICES].map((name) => [name, namedUrl(name, flags, env)]));
  const complete = SERVICES.every((name) => named.get(name) !== undefined);
  const connection = complete ? {} : await readConnection(file);
  return (name) => {
    const url = named.get(name) ?? connection?.[name];
    if (url === undefined) throw nothingFound(name, file, connection !== null);
    const own = named.get(name) === undefined ? connection?.credentials : undefined;
    return { url, credentials: given ?? own };
  };
}

function namedUrl(name: ServiceName, flags: PlatformFlags, env: Environment): string | undefined {
  const flag = flagOf(name, flags);
  const text = flag?.value ?? nonEmpty(env[VARIABLES[name]]);
  if (text === undefined) return undefined;
  if (serviceUrl.safeParse(text).success) return text;
  const source = flag?.value === undefined ? VARIABLES[name] : flag.name;
  throw usageError(
    `${source} is not an http or https address: ${text}`,
    'Write it like http://127.0.0.1:8081.',
  );
}

function flagOf(
  name: ServiceName,
  flags: PlatformFlags,
): { readonly name: string; readonly value: string | undefined } | undefined {
  // It is found beside pictures, by its variable.
  if (name === 'classification') return undefined;
  if (name === 'dicebox') return { name: '--dicebox-url', value: flags.diceboxUrl };
  return { name: `--${name}`, value: flags[name] };
}

function credentialsOf(flags: PlatformFlags, env: Environment): ServiceAddress['credentials'] {
  const name = flags.user ?? nonEmpty(env.MORPHEO_USER);
  if (name === undefined) return undefined;
  const secret = nonEmpty(env.MORPHEO_PASSWORD);
  if (secret === undefined) {
    throw usageError(
      `There is no password for the user "${name}".`,
      'Set MORPHEO_PASSWORD; it is no flag, for others could see it.',
    );
  }
  return { name, secret };
}

function nothingFound(name: ServiceName, file: string, there: boolean): CliError {
  const isFurther = FURTHER_SERVICES.some((further) => further === name);
  return new CliError(
    EXIT.unreachable,
    `No ${name} service is known: ${there ? `${file} does not name one` : `there is no ${file}`}.`,
    `Start a platform with "morpheo up${isFurther ? ' --dicebox' : ''}", or set ${VARIABLES[name]}, MORPHEO_USER and MORPHEO_PASSWORD.`,
  );
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
