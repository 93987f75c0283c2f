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
  TUS_CHUNK_TYPE,
} from '@morpheo/common';
import { freePorts, requireProgram, sampleSize, withParts } from '@morpheo/real-parts';
import test from 'ava';
import { KillablePlatform } from '../testing/killable-platform.ts';

const run = promisify(execFile);
/** How many requests are made up at random for each route, beside those that schemathesis derives from its schema. */
const EXAMPLES = sampleSize('FUZZ_EXAMPLES', { small: 5, full: 200 });
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
  ...(['unsupported_method', 'allow_header_conformance'] as const).map((check) => ({
    check,
    reason: 'It stands where the id of an order does: a GET asks for the order of that name, which is no id.',
    of: ({ path }: Endpoint) => path === '/v1/orders/batch',
  })),
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
    reason: 'A schema cannot count the bytes of a text, which canaries have eight of at least.',
    of: ({ method, path }) => method === 'PUT' && path.startsWith('/v1/permissions/'),
  },
  {
    check: 'positive_data_acceptance',
    reason: 'The types of things that an order may use as this or that are told in words.',
    of: ({ path }) => path === '/v1/pins',
  },
  {
    check: 'positive_data_acceptance',
    reason:
      'Which members of a job exclude one another, and which bytes its texts may hold, is told in words.',
    of: ({ method, path }) => method === 'POST' && path === '/v1/jobs',
  },
  {
    check: 'positive_data_acceptance',
    reason:
      'Which members of a search exclude or need one another, and what its space may hold, is told in words.',
    of: ({ method, path }) => method === 'POST' && path === '/v1/searches',
  },
  {
    check: 'positive_data_acceptance',
    reason: 'That a worker is dedicated to labels of its own alone is told in words.',
    of: ({ method, path }) => method === 'PUT' && path === '/v1/workers/:worker',
  },
  ...(['positive_data_acceptance', 'not_a_server_error'] as const).map((check) => ({
    check,
    reason:
      'A call that nobody can run is 503 at once, since nothing of it is kept; what excludes what is told in words.',
    of: ({ path }: Endpoint) => path === '/v1/calls',
  })),
  {
    check: 'positive_data_acceptance',
    reason:
      'That bytes are base64, as in what a call has left, is checked without a pattern, and told in words.',
    of: ({ path }) => path === '/v1/instances/calls' || path === '/v1/workers/:worker/calls',
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
    check: 'response_schema_conformance',
    reason:
      'OpenAPI 3.1 knows a stream of events as a text; the schema of each event stands in its description.',
    of: ({ response }) => response.type === 'events',
  },
  {
    check: 'response_schema_conformance',
    reason: 'OpenAPI 3.1 knows lines of JSON as a text; the schema of each line stands in its description.',
    of: ({ response }) => response.type === 'bytes' && response.line !== undefined,
  },
  {
    check: 'negative_data_rejection',
    reason: 'A line that does not fit is refused by the answer to it, and the answer to the whole is 200.',
    of: ({ body }) => body?.type === 'bytes' && body.line !== undefined,
  },
  {
    check: 'negative_data_rejection',
    reason: 'A log is followed with 1, yes and on as well; the document names true and false alone.',
    of: ({ path }) => path === '/v1/orders/:id/log',
  },
  ...(['positive_data_acceptance', 'negative_data_rejection'] as const).map((check) => ({
    check,
    reason: 'The tus protocol answers 412 to another version of it.',
    of: ({ path }: Endpoint) => path.startsWith('/v1/uploads'),
  })),
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
      t.regex(output, /(\d{3,}) generated, \1 passed/, failuresIn(output));
      t.true((await fetch(`http://127.0.0.1:${port}/health`)).ok);
    }
    await platform.kill();
    await rm(home, { recursive: true });
  },
);

/** Schemathesis makes bytes only of the types that it is told are bytes. */
const HOOKS = `
import schemathesis
schemathesis.serializer.alias('${TUS_CHUNK_TYPE}', 'application/octet-stream')
schemathesis.serializer.alias('application/x-ndjson', 'text/plain')
`;

/** What refuses a request that breaks its schema; 413 too, where it is over a limit before it is read. */
const REFUSALS = `[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, "5xx"]
`;

interface Fuzzed {
  readonly url: string;
  readonly auth: string;
  readonly contract: Contract;
}

/** What schemathesis prints of its run. Bounded by its number of requests, so that what it finds is the same on every machine. */
async function fuzz({ url, auth, contract }: Fuzzed): Promise<string> {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-fuzz-'));
  const config = join(folder.path, 'schemathesis.toml');
  await writeFile(config, `hooks = "hooks.py"\n\n${REFUSALS}\n${fuzzConfig(contract)}`);
  await writeFile(join(folder.path, 'hooks.py'), HOOKS);
  const options = {
    url,
    auth,
    'max-examples': String(EXAMPLES),
    seed: String(SEED),
    phases: 'coverage,fuzzing,stateful',
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

/** What it says of each failure and error, without what comes before them and after. */
function failuresIn(output: string): string {
  return (
    /=+ (?:ERRORS|FAILURES) =+[\s\S]*?(?==+ (?:WARNINGS|SUMMARY) =+)/.exec(output)?.[0] ?? output
  ).slice(0, 8000);
}
