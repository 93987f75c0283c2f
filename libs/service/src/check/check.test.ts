import { mkdtempDisposable, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import test from 'ava';
import { z } from 'zod';
import { defineSettings, loadSettings } from '../config/index.ts';
import { openOtlpReceiver } from '../testing/index.ts';
import { folderProbe, type Probes, peerProbe, runCheck, settingsOrCheck, traceProbes } from './index.ts';

function screen() {
  const lines: string[] = [];
  return { lines, write: (text: string) => lines.push(text.trimEnd()) };
}

const settings = defineSettings({
  port: { flag: 'port', env: 'DEMO_PORT', schema: z.coerce.number().int(), default: 80, help: 'The port.' },
});
const load = (...argv: string[]) =>
  loadSettings({ name: 'demo', description: '', version: '1', settings, canCheck: true, argv, env: {} });

test('Each part has a line, with what was found or what is wrong', async (t) => {
  const output = screen();
  const probes: Probes = {
    database: { ask: async () => 'schema up to date' },
    broker: {
      ask: async () => await Promise.reject(new Error('nobody answers\nat all')),
      remedy: 'Start it, or correct --nsqd.',
    },
  };
  await t.throwsAsync(runCheck({ problems: [], probes, output }), {
    code: 'unavailable',
    message: /: broker\.$/,
  });
  t.deepEqual(output.lines, [
    'settings      ok     well formed, and none contradicts another',
    'database      ok     schema up to date',
    'broker        wrong  nobody answers at all. Start it, or correct --nsqd.',
  ]);
});

test('What had better be changed is told, and ends the check well', async (t) => {
  const output = screen();
  const probes: Probes = {
    runtime: { ask: async () => 'docker', warn: async () => 'It has a network.' },
    broker: { ask: async () => 'nsq', warn: async () => undefined },
  };
  await runCheck({ problems: [], probes, output });
  t.deepEqual(output.lines.slice(1), [
    'runtime       warn   docker. It has a network.',
    'broker        ok     nsq',
  ]);
});

test('A part that hangs is given up, and the others are told', async (t) => {
  const output = screen();
  const probes: Probes = {
    hangs: { ask: async () => await new Promise<never>(() => {}) },
    lives: { ask: async () => 'well' },
  };
  // Something has to keep the process alive: the bound itself does not.
  const alive = setInterval(() => {}, 1000);
  await t.throwsAsync(runCheck({ problems: [], probes, output, withinMs: 50 }), { code: 'unavailable' });
  clearInterval(alive);
  t.regex(output.lines[1] ?? '', /^hangs +wrong +It did not answer within 0\.05 s\.$/);
  t.regex(output.lines[2] ?? '', /^lives +ok +well$/);
});

test('Wrong settings are told, and nobody is asked', async (t) => {
  const output = screen();
  const asked = settingsOrCheck(
    load('--check', '--port', 'x'),
    () => ({ never: { ask: async () => t.fail() } }),
    output,
  );
  await t.throwsAsync(asked, { code: 'unavailable' });
  t.is(output.lines.length, 1);
  t.regex(output.lines[0] ?? '', /^settings +wrong +--port/);
});

test('A check ends the program, and without one the settings are run with', async (t) => {
  const output = screen();
  const probesOf = (values: { port: number }) => ({ port: { ask: async () => String(values.port) } });
  t.is(await settingsOrCheck(load('--check'), probesOf, output), undefined);
  t.deepEqual(output.lines.slice(1), ['port          ok     80']);
  t.deepEqual(await settingsOrCheck(load('--port', '81'), probesOf, output), { port: 81 });
  t.is(await settingsOrCheck(load('--help'), probesOf, output), undefined);
  t.regex(output.lines.at(-1) ?? '', /--check +check the settings/);
});

test('A folder that is there, or could be made, is well, and nothing is made', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-check-'));
  const signal = AbortSignal.timeout(60_000);
  t.regex(await folderProbe(folder.path).ask(signal), /GiB free$/);
  t.regex(await folderProbe(join(folder.path, 'a/b')).ask(signal), /a\/b will be made, /);
  await writeFile(join(folder.path, 'file'), '');
  await t.throwsAsync(folderProbe(join(folder.path, 'file/a')).ask(signal), { message: /file is no folder/ });
  await t.throwsAsync(folderProbe(folder.path, ['b', 'file']).ask(signal), { message: /file is no folder/ });
  t.deepEqual(await readdir(folder.path), ['file']);
});

test('A service that does not know us is told from one that is away', async (t) => {
  const probe = (error: PlatformError) =>
    peerProbe({
      url: 'http://storage',
      identify: async () => '1.2.3',
      call: async () => await Promise.reject(error),
      flag: '--storage',
      credentials: '--storage-user',
    }).ask(AbortSignal.timeout(60_000));
  t.is(
    await probe(new PlatformError('not_found', 'There is no such model.')),
    'http://storage, version 1.2.3',
  );
  await t.throwsAsync(probe(new PlatformError('unauthenticated', '')), {
    message: /refuses our name.*--storage-user/,
  });
  await t.throwsAsync(probe(new PlatformError('unavailable', 'no answer')), { message: 'no answer' });
});

test('The receiver of traces is asked where one is named', async (t) => {
  t.deepEqual(traceProbes({ otlpEndpoint: undefined, otlpHeaders: undefined, otlpRatio: 1 }), {});
  const receiver = await openOtlpReceiver();
  const ask = async () => {
    const [probe] = Object.values(
      traceProbes({ otlpEndpoint: receiver.url, otlpHeaders: undefined, otlpRatio: 1 }),
    );
    return await probe?.ask(AbortSignal.timeout(60_000));
  };
  t.is(await ask(), receiver.url);
  await receiver[Symbol.asyncDispose]();
  await t.throwsAsync(ask, { message: /got no answer/ });
});
