import { isIPv6 } from 'node:net';
import { z } from 'zod';
import type { Secret } from './secret.ts';
import { defineSettings, type Setting, type Settings, type SettingsOf } from './settings.ts';

const text = z.string().min(1);
const port = z.coerce.number().int().min(0).max(65_535);

/** Names or addresses of this service, without scheme and port; IPv6 with or without brackets. */
const hostNames = z.string().transform((text, context) =>
  text.split(',').map((part) => {
    const name = part.trim().toLowerCase();
    const inUrl = isIPv6(name) ? `[${name}]` : name;
    if (URL.canParse(`http://${inUrl}`) && new URL(`http://${inUrl}`).hostname === inUrl) return name;
    context.addIssue(`${JSON.stringify(name)} is not a name such as compute.example.org`);
    return z.NEVER;
  }),
);

/** The settings of where a service listens: `prefix` begins their variables, `defaultPort` is the port by default. */
export function listenSettings(prefix: string, defaultPort: number) {
  return defineSettings({
    host: {
      flag: 'host',
      env: `${prefix}HOST`,
      schema: text,
      default: '127.0.0.1',
      help: 'The address to listen at.',
    },
    port: {
      flag: 'port',
      env: `${prefix}PORT`,
      schema: port,
      default: defaultPort,
      help: 'The port to listen at; 0 for any.',
    },
    hosts: {
      flag: 'hosts',
      env: `${prefix}HOSTS`,
      schema: hostNames.optional(),
      list: true,
      help: 'The names by which clients call, such as compute.example.org, against DNS rebinding: a request whose Host is another gets 403. Names of loopback need not be named, nor addresses where it listens beyond loopback. Where absent: on loopback its names, elsewhere any.',
    },
    cert: {
      flag: 'cert',
      env: `${prefix}CERT`,
      schema: text.optional(),
      help: 'PEM file of the TLS certificate.',
    },
    key: { flag: 'key', env: `${prefix}KEY`, schema: text.optional(), help: 'PEM file of the TLS key.' },
  });
}

/** The setting of the least serious lines that are logged. */
export function logSettings(prefix: string) {
  return defineSettings({
    logLevel: {
      flag: 'log-level',
      env: `${prefix}LOG_LEVEL`,
      schema: z.enum(['debug', 'info', 'warn', 'error']),
      default: 'info',
      help: 'The least serious lines that are logged.',
    },
  });
}

type Need = 'required' | 'optional';
type Needed<Schema extends z.ZodType, N extends Need> = N extends 'required' ? Schema : z.ZodOptional<Schema>;

/** The settings that {@link peerSettings} declares: such as `storage`, `storageUser` and `storagePassword`. */
export type PeerSettings<Name extends string, Url extends Need, User extends Need> = {
  readonly [Key in Name]: Setting<Needed<z.ZodURL, Url>>;
} & {
  readonly [Key in `${Name}User`]: Setting<Needed<z.ZodString, User>>;
} & {
  readonly [Key in `${Name}Password`]: Setting<Needed<z.ZodString, User>> & { readonly secret: true };
};

/** Which other service {@link peerSettings} is about. */
export interface PeerOptions<Name extends string, Url extends Need, User extends Need> {
  /** What the program calls the settings, and what their flags begin with; one lower-case word, such as `storage`. */
  readonly name: Name;
  /** What people call the service, such as `storage-api`. */
  readonly service: string;
  /** The sentence of `--help` about the address. */
  readonly help: string;
  /** Whether the address has to be given. */
  readonly url: Url;
  /** Whether name and password have to be given. */
  readonly credentials: User;
}

/** The settings of where another service is and who we are to it; `prefix` begins their variables. */
export function peerSettings<const Name extends string, const Url extends Need, const User extends Need>(
  prefix: string,
  { name, service, help, url, credentials }: PeerOptions<Name, Url, User>,
): PeerSettings<Name, Url, User> {
  const word = credentials === 'required' ? text : text.optional();
  const env = `${prefix}${name.toUpperCase()}`;
  // The names are put together here as the type puts them together.
  return {
    [name]: { flag: name, env, schema: url === 'required' ? z.url() : z.url().optional(), help },
    [`${name}User`]: {
      flag: `${name}-user`,
      env: `${env}_USER`,
      schema: word,
      help: `Who we are to ${service}.`,
    },
    [`${name}Password`]: {
      flag: `${name}-password`,
      env: `${env}_PASSWORD`,
      schema: word,
      secret: true,
      help: `The password of --${name}-user.`,
    },
  } as unknown as PeerSettings<Name, Url, User>;
}

/** Another service: where it is, and who we are to it. */
export interface Peer {
  readonly url: string;
  /** Undefined where we call without. The secret is as it is now: whoever calls reads it each time. */
  readonly credentials: { readonly name: string; readonly secret: string } | undefined;
}

/** The peer that the values of {@link peerSettings} describe; its secret changes where that of the password does. */
export function peerOf(url: string, user: string | undefined, password: Secret | undefined): Peer {
  if (user === undefined || password === undefined) return { url, credentials: undefined };
  const credentials = {
    name: user,
    get secret() {
      return password.reveal();
    },
  };
  return { url, credentials };
}

/** One sentence for each pair of settings that belong together and of which one alone is given. */
export function pairProblems<S extends Settings>(
  settings: S,
  values: SettingsOf<S>,
  pairs: readonly (readonly [keyof S, keyof S])[],
): string[] {
  const flag = (name: keyof S) => `--${settings[name]?.flag}`;
  return pairs
    .filter(([one, other]) => (values[one] === undefined) !== (values[other] === undefined))
    .map(([one, other]) => `${flag(one)} and ${flag(other)} belong together: give both, or neither.`);
}

/**
 * A flag of the original that has no use here: a command line that was written for the original still starts.
 * `instead` ends the sentence of `--help`: what is done instead.
 */
export function unusedSetting(prefix: string, flag: string, instead: string) {
  return {
    flag,
    env: `${prefix}${flag.toUpperCase().replaceAll('-', '_')}`,
    schema: text.optional(),
    help: `Understood for the original’s sake and not used: ${instead}.`,
  };
}

/** The flags among `settings` that were given a value other than the default. */
export function unusedFlags(settings: Settings, values: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(settings)
    .filter(([name, setting]) => values[name] !== setting.default)
    .map(([, { flag }]) => `--${flag}`);
}
