import test from 'ava';
import { z } from 'zod';
import { defineSettings, loadSettings, settingsOrPrint } from './index.ts';

const settings = defineSettings({
  port: { flag: 'port', env: 'PORT', schema: z.coerce.number(), default: 80, help: 'Where to listen.' },
});

function run(...argv: string[]) {
  const printed: string[] = [];
  const loaded = loadSettings({ name: 'x', description: 'Does.', version: '1.2.3', settings, argv, env: {} });
  return { values: settingsOrPrint(loaded, { write: (text) => printed.push(text) }), printed };
}

test('Settings are handed on, and nothing is printed', (t) => {
  t.deepEqual(run('--port', '81'), { values: { port: 81 }, printed: [] });
});

test('A text that was asked for is printed, and there is nothing to run', (t) => {
  const help = run('--help');
  t.is(help.values, undefined);
  t.regex(help.printed.join(''), /--port.*Where to listen\./);
  t.regex(run('--version').printed.join(''), /1\.2\.3/);
});
