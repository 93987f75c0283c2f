import { execFileSync } from 'node:child_process';
import { findProgram } from './place.ts';

/** A part of a team's installation that tests may need. */
export type Part = 'nsq' | 'postgres' | 'minio' | 'docker' | 'schemathesis';

/** What of ava's `test` we need: itself, and the way to skip. */
interface Skippable {
  readonly skip: unknown;
}

const PROGRAMS: Readonly<Record<Exclude<Part, 'docker'>, readonly string[]>> = {
  nsq: ['nsqd', 'nsqlookupd'],
  postgres: ['initdb', 'postgres'],
  minio: ['minio'],
  schemathesis: ['schemathesis'],
};

/**
 * ava's `test` where the machine has the parts, else `test.skip`, said in one line on stderr. Where nothing may be
 * skipped (`CI` or `MORPHEO_REQUIRE_REAL_PARTS` is set) it throws instead.
 */
export function withParts<Test extends Skippable>(test: Test, ...parts: readonly Part[]): Test {
  const missing = parts.map(whyNot).filter((reason) => reason !== undefined);
  if (missing.length === 0) return test;
  const reason = `${missing.join('; ')} (\`make real-parts\` installs it)`;
  if (process.env.CI || process.env.MORPHEO_REQUIRE_REAL_PARTS) {
    throw new Error(`A real part is missing where none may be: ${reason}`);
  }
  process.stderr.write(`SKIPPED the tests that need ${parts.join(' and ')}: ${reason}\n`);
  return test.skip as Test;
}

function whyNot(part: Part): string | undefined {
  if (part === 'docker') return whyNoDocker();
  const absent = PROGRAMS[part].filter((name) => findProgram(name) === undefined);
  return absent.length === 0 ? undefined : `${absent.join(' and ')} not found`;
}

function whyNoDocker(): string | undefined {
  try {
    execFileSync('docker', ['version'], { stdio: 'ignore', timeout: 10_000 });
    return undefined;
  } catch {
    return 'the Docker daemon does not answer';
  }
}
