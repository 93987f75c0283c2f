import { execFile } from 'node:child_process';
import { mkdtemp, mkdtempDisposable, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  type Contract,
  computeContract,
  type Endpoint,
  orchestratorContract,
  serviceContract,
  storageContract,
} from '@morpheo/common';
import { freePorts, requireProgram, withParts } from '@morpheo/real-parts';
import test from 'ava';
import { KillablePlatform } from '../testing/killable-platform.ts';

const run = promisify(execFile);
const SECONDS = Number(process.env.FUZZ_SECONDS ?? 12);
const MOST_SECONDS = 60;
const SEED = Number(process.env.SEED ?? 1);

/** A check of schemathesis that is not made of some routes. */
interface Exclusion {
  readonly check: string;
  readonly reason: string;
  /** Of which routes; `key` is the name of the route in its contract. */
  of(endpoint: Endpoint, key: string): boolean;
}

/** All checks that are not made; every other one is made of every route. */
const EXCLUSIONS: readonly Exclusion[] = [
  {
    check: 'unsupported_method',
    reason: 'The originals answer 404 to a wrong method.',
    of: ({ path }) => !path.startsWith('/v1/') && path !== '/ready',
  },
  {
    check: 'negative_data_rejection',
    reason: 'The originals take members of other types, unknown members and null, as the decoder of Go does.',
    of: ({ body }) => body?.type === 'json' && body.go === true,
  },
  {
    check: 'positive_data_acceptance',
    reason: 'The rules of an order and of the orchestrator are told in the words of the originals, with 400.',
    of: ({ method, body, classic }) => classic === true && method === 'POST' && body?.type === 'json',
  },
  {
    check: 'positive_data_acceptance',
    reason: 'A schema cannot say which bytes are a form, have a length, or are what was announced.',
    of: ({ body }) => body?.type === 'bytes',
  },
  {
    check: 'positive_data_acceptance',
    reason:
      'Integers beyond 2^53 are refused, a bound of JSON that the document does not repeat for each of them.',
    of: ({ body }) => body?.type === 'json' && body.go !== true,
  },
  {
    check: 'positive_data_acceptance',
    reason: 'A cursor is one that an earlier page gave.',
    of: ({ query }) => query !== undefined && 'cursor' in query.shape,
  },
  {
    check: 'positive_data_acceptance',
    reason:
      'Names are written in one way alone (NFC), without control characters, which a pattern cannot say.',
    of: ({ path }) => path.includes('/:name'),
  },
  {
    check: 'positive_data_acceptance',
    reason: 'The tus protocol answers 412 to another version of it.',
    of: ({ path }) => path.startsWith('/v1/uploads'),
  },
];

withParts(test, 'schemathesis').serial(
  'Requests made up from each OpenAPI document are answered as the document says, and never with a 5xx',
  async (t) => {
    t.timeout(600_000);
    const home = await mkdtemp(join(tmpdir(), 'morpheo-fuzz-'));
    const [storage = 0, compute = 0, orchestrator = 0] = await freePorts(3);
    await using platform = new KillablePlatform(home, { storage, compute, orchestrator });
    await platform.start();
    const { credentials } = await platform.connection();
    for (const [port, contract] of [
      [storage, storageContract],
      [compute, computeContract],
      [orchestrator, orchestratorContract],
    ] as const) {
      const auth = `${credentials.name}:${credentials.secret}`;
      const output = await fuzz({ url: `http://127.0.0.1:${port}`, auth, contract });
      t.log(/\d+ generated, .*/.exec(output)?.[0] ?? output.slice(-300));
      t.regex(output, /(\d{3,}) generated, \1 passed/, output.slice(-4000));
      t.true((await fetch(`http://127.0.0.1:${port}/health`)).ok);
    }
    await platform.kill();
    await rm(home, { recursive: true });
  },
);

interface Fuzzed {
  readonly url: string;
  readonly auth: string;
  readonly contract: Contract;
}

/** What is printed of a run with a hundred requests at least: on a busy machine it is given more time. */
async function fuzz(fuzzed: Fuzzed, seconds = SECONDS): Promise<string> {
  const output = await fuzzFor(fuzzed, seconds);
  const isEnough = /\d{3,} generated/.test(output);
  return isEnough || seconds > MOST_SECONDS ? output : await fuzz(fuzzed, seconds * 3);
}

async function fuzzFor({ url, auth, contract }: Fuzzed, seconds: number): Promise<string> {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-fuzz-'));
  const config = join(folder.path, 'schemathesis.toml');
  await writeFile(config, fuzzConfig(contract));
  const options = {
    url,
    auth,
    'max-time': String(seconds),
    seed: String(SEED),
    phases: 'coverage,fuzzing',
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  try {
    const { stdout } = await run(
      requireProgram('schemathesis'),
      ['--config-file', config, 'run', `${url}/openapi.json`, ...args, '--continue-on-failure'],
      { cwd: folder.path, maxBuffer: 2 ** 26 },
    );
    return stdout;
  } catch (error) {
    if (error instanceof Error && 'stdout' in error) return String(error.stdout);
    throw error;
  }
}

/** The configuration of schemathesis (TOML) for an API: all checks, but for what is excluded, by route. */
function fuzzConfig({ endpoints }: Contract): string {
  const routes = Object.entries({ ...serviceContract.endpoints, ...endpoints });
  return routes
    .map(([key, endpoint]) => {
      const checks = new Set(EXCLUSIONS.filter((one) => one.of(endpoint, key)).map(({ check }) => check));
      const lines = [...checks].map((check) => `checks.${check}.enabled = false\n`);
      return lines.length === 0 ? '' : `[[operations]]\ninclude-operation-id = "${key}"\n${lines.join('')}\n`;
    })
    .join('');
}
