import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const FIXTURE = fileURLToPath(new URL('service.fixture.ts', import.meta.url));

interface Line {
  readonly message: string;
  readonly [field: string]: unknown;
}

/** Runs the fixture; `on` maps a message of its log to the signal that it then gets. */
async function run(scenario: string, on: Readonly<Record<string, NodeJS.Signals>> = {}) {
  const child = spawn(process.execPath, [FIXTURE, ...scenario.split(', ')], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: Line[] = [];
  createInterface(child.stdout).on('line', (json) => {
    const line = JSON.parse(json) as Line;
    lines.push(line);
    const signal = on[line.message];
    if (signal !== undefined) child.kill(signal);
  });
  const [errors, [code, signal]] = await Promise.all([text(child.stderr), once(child, 'close')]);
  const find = (message: string) => lines.find((line) => line.message === message);
  return { code, signal, errors, lines, find, messages: lines.map((line) => line.message) };
}

const END = ['ready', 'stopping', 'draining', 'drained', 'closed', 'stopped'];

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  test(`${signal} drains, closes and ends the process well`, async (t) => {
    const service = await run('good', { ready: signal });
    t.deepEqual(service.messages, END);
    t.deepEqual([service.code, service.signal, service.errors], [0, null, '']);
    t.like(service.find('ready'), { port: 8081, own: true, level: 'info' });
    t.is(service.find('stopping')?.reason, signal);
  });
}

test('Draining that takes too long is cut off', async (t) => {
  const service = await run('drain hangs', { ready: 'SIGTERM' });
  t.is(service.code, 0);
  t.regex(String(service.find('not everything was drained')?.reason), /longer than 50 ms/);
  t.true(service.messages.includes('closed'));
});

test('A second signal closes at once', async (t) => {
  const service = await run('drain hangs, patiently', { ready: 'SIGTERM', draining: 'SIGTERM' });
  t.is(service.code, 0);
  t.is(service.find('not everything was drained')?.reason, 'told to stop at once: SIGTERM');
  t.true(service.messages.includes('closed'));
});

test('Draining that fails is logged and closes all the same', async (t) => {
  const service = await run('drain fails', { ready: 'SIGTERM' });
  t.is(service.code, 1);
  t.like(service.find('draining failed'), { level: 'error', error: { message: 'drain on purpose' } });
  t.true(service.messages.includes('closed'));
});

for (const scenario of ['throws', 'throws synchronously']) {
  test(`An error that nobody caught closes the service: ${scenario}`, async (t) => {
    const service = await run(scenario);
    t.is(service.code, 1);
    const line = service.find('an error was not caught; the service stops');
    t.like(line, { level: 'error', own: true, error: { message: 'crash on purpose' } });
    t.true(service.messages.includes('closed'));
  });
}

test('Wrong settings are one line of text and exit code 2', async (t) => {
  const service = await run('settings');
  t.is(service.code, 2);
  t.is(service.errors, 'fixture cannot start. --port: "x" is no number; give one.\n');
  t.deepEqual(service.messages, []);
});

test('A part that is away is one line of text and exit code 1', async (t) => {
  const service = await run('away');
  t.is(service.code, 1);
  t.is(service.errors, 'fixture cannot start. The database does not answer; start it.\n');
});

test('A fault of our own at the start is logged with its stack', async (t) => {
  const service = await run('bug');
  t.is(service.code, 1);
  const error = service.find('could not start')?.error as Record<string, unknown>;
  t.regex(String(error.stack), /service\.fixture\.ts/);
});

test('A signal while starting aborts the start', async (t) => {
  const service = await run('slow', { starting: 'SIGTERM' });
  t.is(service.code, 0);
  t.regex(String(service.find('stopped before it had started')?.reason), /SIGTERM/);
});

test('A program with nothing to run ends well', async (t) => {
  const service = await run('help');
  t.deepEqual([service.code, service.errors, service.messages], [0, '', []]);
});

test('What is still open after closing is named, and the process ended', async (t) => {
  const service = await run('leak', { ready: 'SIGTERM' });
  t.is(service.code, 1);
  const line = service.find('something is still open; the process is ended by force');
  t.regex(String(line?.open), /Timeout/);
});

test('Closing that hangs does not keep the process', async (t) => {
  const service = await run('close hangs', { ready: 'SIGTERM' });
  t.is(service.code, 1);
  t.regex(String(service.find('not everything was closed')?.reason), /longer than 50 ms/);
});
