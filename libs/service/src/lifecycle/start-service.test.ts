import test from 'ava';
import { defineSettings, loadSettings, logSettings, unusedSetting } from '../config/index.ts';
import { traceSettings } from '../trace/index.ts';
import { startService } from './index.ts';

const unused = defineSettings({ old: unusedSetting('DEMO_', 'old', 'nothing is') });
const settings = defineSettings({ ...logSettings('DEMO_'), ...traceSettings, ...unused });

function config(...argv: string[]) {
  const loaded = loadSettings({
    name: 'demo',
    description: '',
    version: '1',
    settings,
    argv: ['--log-level', 'error', ...argv],
    env: {},
  });
  if (loaded.kind !== 'settings') throw new Error('expected settings');
  return loaded.values;
}

test('A service is drained and closed, last opened first', async (t) => {
  const steps: string[] = [];
  const running = await startService(config('--old', 'x'), {
    name: 'demo',
    unused,
    open: async ({ old }, { stack, log, metrics, tracer }) => {
      t.is(old, 'x');
      t.truthy(log);
      t.truthy(tracer);
      t.regex(await metrics.expose(), /process_cpu/);
      stack.defer(() => void steps.push('closed first'));
      stack.defer(() => void steps.push('closed second'));
      return { drain: async () => void steps.push('drained'), ready: { url: 'http://here' } };
    },
  });
  t.deepEqual(running?.ready, { url: 'http://here' });
  t.deepEqual(steps, []);
  await running?.drain();
  await running?.[Symbol.asyncDispose]();
  t.deepEqual(steps, ['drained', 'closed second', 'closed first']);
});

test('What was opened is closed where the start fails', async (t) => {
  let closed = false;
  const starting = startService(config(), {
    name: 'demo',
    open: async (_config, { stack }) => {
      stack.defer(() => {
        closed = true;
      });
      throw new Error('on purpose');
    },
  });
  await t.throwsAsync(starting, { message: 'on purpose' });
  t.true(closed);
});

test('Nothing is started where only help was asked for', async (t) => {
  const open = () => Promise.reject(new Error('nothing is to be opened'));
  t.is(await startService(undefined, { name: 'demo', open }), undefined);
});
