import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePorts, requireProgram, withParts } from '@morpheo/real-parts';
import test from 'ava';
import { KillablePlatform } from '../testing/killable-platform.ts';

const run = promisify(execFile);
const SECONDS = Number(process.env.FUZZ_SECONDS ?? 12);
const MOST_SECONDS = 60;
const SEED = Number(process.env.SEED ?? 1);

withParts(test, 'schemathesis').serial(
  'Requests made up from each OpenAPI document are answered as the document says, and never with a 5xx',
  async (t) => {
    t.timeout(600_000);
    const home = await mkdtemp(join(tmpdir(), 'morpheo-fuzz-'));
    const ports = await freePorts(3);
    const [storage = 0, compute = 0, orchestrator = 0] = ports;
    await using platform = new KillablePlatform(home, { storage, compute, orchestrator });
    await platform.start();
    const { credentials } = await platform.connection();
    for (const port of ports) {
      // A type that storage does not know is answered in plain text, as the original does: no content type is judged.
      const output = await fuzz(`http://127.0.0.1:${port}`, `${credentials.name}:${credentials.secret}`);
      t.log(/\d+ generated, .*/.exec(output)?.[0] ?? output.slice(-300));
      t.regex(output, /(\d{3,}) generated, \1 passed/, output.slice(-4000));
      t.true((await fetch(`http://127.0.0.1:${port}/health`)).ok);
    }
    await platform.kill();
    await rm(home, { recursive: true });
  },
);

/** What is printed of a run with a hundred requests at least: on a busy machine it is given more time. */
async function fuzz(url: string, auth: string, seconds = SECONDS): Promise<string> {
  const output = await fuzzFor(url, auth, seconds);
  const isEnough = /\d{3,} generated/.test(output);
  return isEnough || seconds > MOST_SECONDS ? output : await fuzz(url, auth, seconds * 3);
}

async function fuzzFor(url: string, auth: string, seconds: number): Promise<string> {
  const options = {
    url,
    auth,
    'max-time': String(seconds),
    seed: String(SEED),
    phases: 'coverage,fuzzing',
    checks: 'not_a_server_error,response_schema_conformance',
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-fuzz-'));
  try {
    const { stdout } = await run(
      requireProgram('schemathesis'),
      ['run', `${url}/openapi.json`, ...args, '--continue-on-failure'],
      { cwd: folder, maxBuffer: 2 ** 26 },
    );
    return stdout;
  } catch (error) {
    if (error instanceof Error && 'stdout' in error) return String(error.stdout);
    throw error;
  } finally {
    await rm(folder, { recursive: true });
  }
}
