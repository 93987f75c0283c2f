import { defineSettings } from '@morpheo/service/config';
import { type DatabaseConfig, engineOf } from '@morpheo/service/database';
import { z } from 'zod';

/** How calls are taken; times in milliseconds, sizes in bytes. */
export interface CallSettings {
  /** How many calls of one program of one owner may wait. */
  readonly perProgram: number;
  /** How many calls of one owner may wait. */
  readonly perOwner: number;
  /** How many bytes all calls that are open may have together. */
  readonly bytes: number;
  /** How long a call may run that does not say. */
  readonly runMs: number;
  /** How long a worker that has calls may be silent until it counts as gone. */
  readonly silentMs: number;
  /** The same, where its connection broke. */
  readonly goneMs: number;
  /** How long a call waits for a runner that is there, before another worker starts one. */
  readonly patienceMs: number;
  /** How long what storage has decided about an owner and what it names is good for further calls. */
  readonly decisionMs: number;
  /** How often open calls and workers are looked at. */
  readonly everyMs: number;
  /** Where the other compute-apis on the database reach this one; absent: it hands no calls to them, and takes none. */
  readonly advertiseUrl?: string | undefined;
}

/** What production uses where nothing else is said. */
export const CALL_DEFAULTS: CallSettings = {
  perProgram: 100,
  perOwner: 1000,
  bytes: 256 * 1024 * 1024,
  runMs: 600_000,
  silentMs: 15_000,
  goneMs: 5000,
  patienceMs: 250,
  decisionMs: 60_000,
  everyMs: 100,
};

const PREFIX = 'MORPHEO_COMPUTE_';
const most = z.coerce.number().int().min(1).max(100_000);

/** The settings of calls in warm runners. */
export const callSettings = defineSettings({
  callsPerProgram: {
    flag: 'calls-per-program',
    env: `${PREFIX}CALLS_PER_PROGRAM`,
    schema: most,
    default: CALL_DEFAULTS.perProgram,
    help: 'How many synchronous calls of one program of one owner may wait for a runner; more are refused with 429.',
  },
  callsPerOwner: {
    flag: 'calls-per-owner',
    env: `${PREFIX}CALLS_PER_OWNER`,
    schema: most,
    default: CALL_DEFAULTS.perOwner,
    help: 'How many synchronous calls of one owner may wait for runners; more are refused with 429.',
  },
  advertiseUrl: {
    flag: 'advertise-url',
    env: `${PREFIX}ADVERTISE_URL`,
    schema: z
      .url({ protocol: /^https?$/, error: 'should be a URL such as http://10.0.0.7:8081' })
      .max(500)
      .refine((url) => !/[?#@]/.test(url), 'should have no credentials, no query and no fragment')
      .optional(),
    help: 'Where the other compute-apis on the same PostgreSQL reach this one, such as http://10.0.0.7:8081: they hand synchronous calls to one another, wherever a worker asks. Not needed for one alone.',
  },
});

/** What contradicts one another of them. */
export function callContradictions(
  config: DatabaseConfig & {
    readonly advertiseUrl?: string | undefined;
    readonly ticketKeyFile?: string | undefined;
    readonly insecureOpen: boolean;
  },
): string[] {
  const { advertiseUrl, ticketKeyFile, insecureOpen } = config;
  if (advertiseUrl === undefined) return [];
  return [
    ...(engineOf(config) === 'postgres'
      ? []
      : [
          '--advertise-url is for several compute-apis on one PostgreSQL: leave it out, or name a PostgreSQL.',
        ]),
    ...(ticketKeyFile === undefined && !insecureOpen
      ? ['Other compute-apis could not know this one: give --ticket-key-file with --advertise-url.']
      : []),
  ];
}

/** Those of them that a process was given. */
export function callsOf(config: {
  readonly callsPerProgram: number;
  readonly callsPerOwner: number;
  readonly advertiseUrl?: string | undefined;
}): CallSettings {
  const { callsPerProgram: perProgram, callsPerOwner: perOwner, advertiseUrl } = config;
  return { ...CALL_DEFAULTS, perProgram, perOwner, advertiseUrl };
}
