import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { drawCanaries, findCanaries } from '../testing/canaries.ts';
import { type Program, startProgram } from '../testing/service-program.ts';

/** Settings that are wrong, or name setting cannot be reached, and hold a secret where people put one by mistake. */
const CASES: Readonly<Record<string, [program: Program, flags: (secret: string) => Record<string, string>]>> =
  {
    'a storage with credentials in its address': [
      'compute-api',
      (secret) => ({ storage: `http://me:${encodeURIComponent(secret)}@127.0.0.1:2` }),
    ],
    'an orchestrator with credentials in its address': [
      'compute-api',
      (secret) => ({ orchestrator: `http://me:${encodeURIComponent(secret)}@127.0.0.1:2` }),
    ],
    'an address that is none, with credentials': [
      'compute-api',
      (secret) => ({ storage: `//me:${secret}@[` }),
    ],
    'a database with a password in its address': [
      'compute-api',
      (secret) => ({ 'db-url': `postgres://me:${encodeURIComponent(secret)}@127.0.0.1:2/x` }),
    ],
    'a database address that is none': [
      'storage-api',
      (secret) => ({ 'db-url': `postgres//me:${secret}@[` }),
    ],
    'a bucket with keys in its address': [
      'storage-api',
      (secret) => ({
        blobstore: 's3',
        's3-bucket': 'x',
        's3-endpoint': `http://me:${encodeURIComponent(secret)}@h`,
      }),
    ],
    'a receiver of traces with credentials in its address': [
      'storage-api',
      (secret) => ({ 'otlp-endpoint': `http://me:${encodeURIComponent(secret)}@127.0.0.1:2` }),
    ],
    'malformed headers for the receiver of traces': ['storage-api', (secret) => ({ 'otlp-headers': secret })],
    'a password without its user': ['storage-api', (secret) => ({ password: secret })],
    'a misspelt flag with a password': ['storage-api', (secret) => ({ pasword: secret })],
    'a compute with credentials in its address': [
      'compute-worker',
      (secret) => ({ compute: `http://me:${encodeURIComponent(secret)}@127.0.0.1:2` }),
    ],
    'a daemon of Docker with credentials in its address': [
      'compute-worker',
      (secret) => ({
        runtime: 'docker',
        'docker-host': `tcp://me:${encodeURIComponent(secret)}@127.0.0.1:2`,
      }),
    ],
    'a lookup of NSQ with credentials in its address': [
      'compute-worker',
      (secret) => ({ 'nsqlookupd-urls': `http://me:${encodeURIComponent(secret)}@127.0.0.1:2` }),
    ],
    'an nsqd with credentials in its address': [
      'compute-worker',
      (secret) => ({ nsqd: `me:${encodeURIComponent(secret)}@127.0.0.1:2` }),
    ],
  };

/** What each program needs beside, so that the wrong setting is setting it ends by. */
function needs(program: Program, folder: string): Record<string, string> {
  const at = 'http://127.0.0.1:2';
  const of = { 'data-dir': join(folder, program), 'log-level': 'debug' };
  const dataless = {
    'log-level': 'debug',
    port: '0',
    storage: at,
    'storage-user': 'u',
    'insecure-open': 'true',
  };
  if (program === 'compute-api')
    return { ...dataless, 'data-dir': of['data-dir'], 'storage-password': 'of no use' };
  if (program === 'storage-api') return { ...of, port: '0', user: 'u', password: 'of no use' };
  return { ...of, runtime: 'process', compute: at, storage: at };
}

for (const [setting, [program, flags]] of Object.entries(CASES)) {
  test.serial(`A program that is given ${setting} does not repeat it`, async (t) => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-refused-'));
    const canaries = drawCanaries('secret');
    const given = flags(canaries.secret);
    const { password: _, ...withoutPassword } = needs(program, folder.path);
    const around = setting.includes('without its user')
      ? { 'data-dir': folder.path }
      : needs(program, folder.path);
    const kept =
      'db-url' in given ? withoutFolder(program === 'storage-api' ? around : withoutPassword) : around;
    const all = { ...kept, ...given };
    for (const flagsOf of [all, { ...all, check: '' }, { ...all, help: '' }]) {
      await using started = startProgram(program, { flags: flagsOf, cwd: folder.path });
      // It may go on in spite of it: then it is ended once it has said something.
      const cut = setInterval(() => {
        if (started.printed !== '') started.signal('SIGABRT');
      }, 6000);
      const printed = await started.ended();
      clearInterval(cut);
      t.not(printed, '', 'it has said something');
      t.deepEqual(
        findCanaries(canaries, [{ name: 'its output', text: printed }]),
        [],
        mask(printed, canaries.secret),
      );
    }
  });
}

function withoutFolder({ 'data-dir': _, ...rest }: Record<string, string>): Record<string, string> {
  return rest;
}

function mask(text: string, secret: string): string {
  return text.replaceAll(secret, '(the secret)').slice(0, 2000);
}
