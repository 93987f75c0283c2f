import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fashionFolder } from './fashion-mnist.ts';
import { findProgram } from './place.ts';

/** A part of a team's installation that tests may need. */
export type Part =
  | 'nsq'
  | 'postgres'
  | 'pgbouncer'
  | 'minio'
  | 'versitygw'
  | 'registry'
  | 'nginx'
  | 'docker'
  | 'compose'
  | 'schemathesis'
  | 'molotov'
  | 'pyzmq'
  | 'chromium'
  | 'dockerfile-reader'
  | 'fashion-mnist'
  | 'h5py';

/** What of ava's `test` we need: itself, and the way to skip. */
interface Skippable {
  skipIf(condition: boolean): unknown;
}

const PROGRAMS: Readonly<Record<Exclude<Part, 'docker' | 'compose' | 'fashion-mnist'>, readonly string[]>> = {
  nsq: ['nsqd', 'nsqlookupd'],
  postgres: ['initdb', 'postgres'],
  pgbouncer: ['pgbouncer'],
  minio: ['minio'],
  versitygw: ['versitygw'],
  registry: ['docker-registry'],
  nginx: ['nginx'],
  schemathesis: ['schemathesis'],
  molotov: ['molotov'],
  pyzmq: ['python3-zmq'],
  h5py: ['python3-h5py'],
  chromium: ['chromium'],
  'dockerfile-reader': ['dockerfile-reader'],
};

/**
 * ava's `test` where the machine has the parts, else one that skips whatever is declared with it, hooks too, said in
 * one line on stderr. Where nothing may be skipped (`CI` or `MORPHEO_REQUIRE_REAL_PARTS` is set) it throws instead.
 */
export function withParts<Test extends Skippable>(test: Test, ...parts: readonly Part[]): Test {
  const reason = missingParts(...parts);
  if (reason === undefined) return test;
  if (process.env.CI || process.env.MORPHEO_REQUIRE_REAL_PARTS) {
    throw new Error(`A real part is missing where none may be: ${reason}`);
  }
  process.stderr.write(`SKIPPED the tests that need ${parts.join(' and ')}: ${reason}\n`);
  return test.skipIf(true) as Test;
}

/** Which of the parts the machine has not, and the remedy, in one line; undefined where it has them all. */
export function missingParts(...parts: readonly Part[]): string | undefined {
  const missing = parts.map(whyNot).filter((reason) => reason !== undefined);
  return missing.length === 0 ? undefined : `${missing.join('; ')} (\`make real-parts\` installs it)`;
}

function whyNot(part: Part): string | undefined {
  if (part === 'docker')
    return succeeds('docker', 'version') ? undefined : 'the Docker daemon does not answer';
  if (part === 'compose') {
    const found = succeeds('docker', 'compose', 'version') || succeeds('docker-compose', 'version');
    return found ? undefined : 'Docker Compose not found';
  }
  if (part === 'fashion-mnist') return existsSync(fashionFolder) ? undefined : 'Fashion-MNIST not found';
  const absent = PROGRAMS[part].filter((name) => findProgram(name) === undefined);
  return absent.length === 0 ? undefined : `${absent.join(' and ')} not found`;
}

function succeeds(program: string, ...args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore', timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}
