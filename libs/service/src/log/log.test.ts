import { PlatformError } from '@morpheo/common';
import test from 'ava';
import { inScope, silentTracer } from '../trace/index.ts';
import { createLog, memoryLog } from './index.ts';

/** A destination that keeps what is written. */
function collect() {
  const lines: string[] = [];
  return { lines, write: (line: string) => lines.push(line) };
}

test('A line is JSON with time, level, service and message', (t) => {
  const destination = collect();
  createLog({ service: 'compute-api', destination }).info({ order: 7 }, 'order accepted');
  t.is(destination.lines.length, 1);
  const { time, ...rest } = JSON.parse(destination.lines[0] ?? '');
  t.deepEqual(rest, { level: 'info', service: 'compute-api', order: 7, message: 'order accepted' });
  t.is(new Date(time).toISOString(), time);
});

test('Lines below the level are not written', (t) => {
  const destination = collect();
  const log = createLog({ service: 'x', level: 'warn', destination });
  log.debug({}, 'a');
  log.info({}, 'b');
  log.warn({}, 'c');
  log.error({}, 'd');
  t.deepEqual(
    destination.lines.map((line) => JSON.parse(line).message),
    ['c', 'd'],
  );
});

test('A child adds its fields to every line', (t) => {
  const log = memoryLog();
  log.child({ order: 1 }).child({ attempt: 2 }).warn({ step: 'train' }, 'slow');
  t.like(log.entries[0], { order: 1, attempt: 2, step: 'train', level: 'warn', message: 'slow' });
});

test('Members named like secrets are hidden at any depth', (t) => {
  const log = memoryLog();
  const headers = { Authorization: 'Basic dTpw', 'set-cookie': ['a=b'], accept: 'text/plain' };
  log
    .child({ apiKey: 'k' })
    .info({ request: { headers }, db_password: 'p', list: [{ accessToken: 't' }], hasPassword: true }, 'm');
  t.like(log.entries[0], {
    request: { headers: { Authorization: '[secret]', 'set-cookie': '[secret]', accept: 'text/plain' } },
    db_password: '[secret]',
    apiKey: '[secret]',
    hasPassword: true,
  });
  t.deepEqual(log.entries[0]?.list, [{ accessToken: '[secret]' }]);
});

test('Credentials inside texts are masked', (t) => {
  const log = memoryLog();
  const url = new URL('http://user:hunter2@nsqd:4150/ping');
  log.error(
    { url, error: new Error('GET postgres://u:hunter2@db/x answered 500') },
    'Bearer hunter2hunter2 refused',
  );
  t.notRegex(JSON.stringify(log.entries), /hunter2/);
  t.like(log.entries[0], { url: 'http://[secret]@nsqd:4150/ping', message: 'Bearer [secret] refused' });
});

test('An error is written with its code and causes', (t) => {
  const log = memoryLog();
  const root = Object.assign(new Error('refused'), {
    code: 'ECONNREFUSED',
    config: { headers: { cookie: 'c' } },
  });
  const error = new PlatformError('unavailable', 'storage does not answer', {
    cause: root,
    details: { host: 'h' },
  });
  log.error({ error }, 'gave up');
  const told = log.entries[0]?.error as { cause: Record<string, unknown>; stack: string };
  t.like(told, { type: 'PlatformError', code: 'unavailable', details: { host: 'h' } });
  t.like(told.cause, { type: 'Error', code: 'ECONNREFUSED', message: 'refused' });
  t.is(told.cause.config, undefined, 'what a library hangs on its error stays out of the log');
  t.regex(told.stack, /log\.test\.ts/);
});

test('Things that cannot be written do not break the line', (t) => {
  const log = memoryLog();
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  const trap = {
    get value(): never {
      throw new Error('trap');
    },
  };
  log.info({ loop, big: 10n, call: () => 1, bytes: Buffer.alloc(5), long: 'x'.repeat(100_000) }, 'odd');
  log.info({ trap }, 'trapped');
  t.like(log.entries[0], { big: '10', call: '[function]', bytes: '[5 bytes]' });
  t.true(String(log.entries[0]?.long).length < 20_000);
  t.like(log.entries[1], { message: 'trapped', unloggable: 'Error: trap' });
});

test('A field cannot take the place of the line’s own members', (t) => {
  const destination = collect();
  createLog({ service: 'x', destination }).info({ level: 'fatal', message: 'other', time: 1 }, 'mine');
  const line = JSON.parse(destination.lines[0] ?? '');
  t.like(line, { level: 'info', message: 'mine', level_: 'fatal', message_: 'other', time_: 1 });
});

test('A pretty line is text with its fields and stacks', (t) => {
  const destination = collect();
  const log = createLog({ service: 'api', destination, pretty: true });
  log.info({ port: 80, name: 'a b' }, 'ready');
  log.error({ error: new Error('outer', { cause: new Error('inner') }) }, 'failed');
  t.regex(destination.lines[0] ?? '', /^\d\d:\d\d:\d\d\.\d{3} .*info.* api ready port=80 name=a b\n$/);
  t.regex(destination.lines[1] ?? '', /api failed\nError: outer\n[\s\S]*caused by: Error: inner\n/);
});

test('A line says which order it is said for, and no member twice', (t) => {
  const destination = collect();
  const log = createLog({ service: 'x', destination });
  const order = '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11';
  inScope({ tracer: silentTracer, order, attempt: 2 }, () => {
    log.info({ step: 'train' }, 'known by the scope');
    log.child({ order: 'mine' }).info({}, 'known by the log');
    log.child({ order: 'mine' }).info({ order: 'own' }, 'known by the line');
  });
  log.info({}, 'on behalf of nobody');
  const lines = destination.lines.map((line) => JSON.parse(line));
  t.like(lines[0], { order, attempt: 2, step: 'train' });
  t.like(lines[1], { order: 'mine', attempt: 2 });
  t.like(lines[2], { order: 'own', attempt: 2 });
  t.false('order' in lines[3]);
  for (const line of destination.lines) t.true(line.split('"order":').length <= 2, line);
});

test('A child may speak for another service', (t) => {
  const destination = collect();
  createLog({ service: 'standalone', destination }).child({ service: 'storage-api' }).info({}, 'hello');
  t.is(destination.lines[0]?.split('"service"').length, 2);
  t.like(JSON.parse(destination.lines[0] ?? ''), { service: 'storage-api' });
});
