import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isPlatformError } from '@morpheo/common';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { defineSettings, loadSettings } from '../config/index.ts';
import { type SettingsFilePlan, yamlSettings } from './index.ts';

const text = z.string().optional();
const settings = defineSettings({
  config: { flag: 'config', env: 'DEMO_CONFIG', schema: text, help: 'The file.' },
  host: { flag: 'host', env: 'DEMO_HOST', schema: text, help: 'A text.' },
  apiKey: { flag: 'api-key', env: 'DEMO_API_KEY', schema: text, secret: true, help: 'A secret.' },
  serve: { flag: 'serve', env: 'DEMO_SERVE', schema: text, list: true, help: 'A list.' },
  open: { flag: 'open', env: 'DEMO_OPEN', schema: z.stringbool(), default: false, help: 'A switch.' },
});

async function openPlace(t: ExecutionContext) {
  const folder = await mkdtemp(join(tmpdir(), 'morpheo-settings-'));
  t.teardown(async () => await rm(folder, { recursive: true }));
  const usual = join(folder, 'usual.yaml');
  return {
    folder,
    usual,
    write: async (content: string, name = 'usual.yaml') => await writeFile(join(folder, name), content),
    load: (
      argv: readonly string[] = [],
      env: Record<string, string> = {},
      plan: Partial<SettingsFilePlan> = {},
    ) => {
      const loaded = loadSettings({
        ...{ name: 'demo', description: 'Demo.', version: '0', settings, argv, env, secretsFolder: folder },
        file: yamlSettings(settings, { setting: 'config', usual, ...plan }),
      });
      return loaded.kind === 'settings' ? loaded.values : undefined;
    },
  };
}

function told(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (isPlatformError(error, 'invalid_request')) return error.message;
    throw error;
  }
  return '';
}

test('A file says what no flag and no variable says, with lists, maps, numbers and switches', async (t) => {
  const place = await openPlace(t);
  t.like(place.load(), { host: undefined, open: false });
  await place.write('host: of the file\nserve: [a, 1]\nopen: true\napi_key: of-the-$FILE\n');
  const values = place.load();
  t.like(values, { host: 'of the file', serve: 'a,1', open: true });
  t.is(values?.apiKey?.reveal(), 'of-the-$FILE');
  t.is(place.load(['--host', 'flag'])?.host, 'flag');
  t.is(place.load([], { DEMO_HOST: 'variable' })?.host, 'variable');
  await place.write('serve: {a: 1, 0.3.0: 2}\nhost:\n');
  t.like(place.load(), { serve: 'a=1,0.3.0=2', host: undefined });
});

test('A file that is named is read in place of the usual one, and has to be there', async (t) => {
  const place = await openPlace(t);
  await place.write('host: usual\n');
  await place.write('host: named\n', 'named.yaml');
  t.is(place.load(['--config', join(place.folder, 'named.yaml')])?.host, 'named');
  t.is(place.load([], { DEMO_CONFIG: join(place.folder, 'named.yaml') })?.host, 'named');
  t.regex(
    told(() => place.load(['--config', '/nowhere.yaml'])),
    /The settings in \/nowhere.yaml: there is no such file/,
  );
});

test('Who has a section of the file reads that alone, and others pass over it', async (t) => {
  const place = await openPlace(t);
  await place.write('host: top\nworker:\n  host: section\n  serve: [x]\n');
  t.is(place.load([], {}, { section: 'worker' })?.host, 'section');
  t.is(place.load([], {}, { section: 'other' })?.host, undefined);
  t.like(place.load([], {}, { others: ['worker'] }), { host: 'top', serve: undefined });
});

test('A secret of the container wins over the file, and the file may name one of its own', async (t) => {
  const place = await openPlace(t);
  await place.write('of a file\n', 'key.txt');
  await place.write(`api_key_file: ${join(place.folder, 'key.txt')}\n`);
  t.is(place.load()?.apiKey?.reveal(), 'of a file');
  await place.write('of the container\n', 'demo_api_key');
  t.is(place.load()?.apiKey?.reveal(), 'of the container');
  t.is(place.load(['--api-key', 'flag'])?.apiKey?.reveal(), 'flag');
  await place.write('', 'demo_api_key');
  t.regex(
    told(() => place.load()),
    /demo_api_key, which is empty/,
  );
});

test('What is no setting is told with its line, beside all other problems, and shows no value', async (t) => {
  const place = await openPlace(t);
  await place.write('host: x\ncolour: red\n');
  const both = told(() => place.load(['--size', '1']));
  t.regex(both, /--size: /);
  t.regex(both, /line 2: colour: there is no such setting/);
  await place.write('worker:\n  host: x\n  config: y\n');
  t.regex(
    told(() => place.load([], {}, { section: 'worker' })),
    /line 3: worker.config: there is no such setting/,
  );
  await place.write('api_key: hunter2\napi_key_file: /x\n');
  const twice = told(() => place.load());
  t.regex(twice, /api-key in the file and api-key-file in the file are both given/);
  t.false(twice.includes('hunter2'));
  await place.write('- a\n');
  t.regex(
    told(() => place.load()),
    /line 1: /,
  );
});
