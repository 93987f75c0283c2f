import { mkdtempDisposable, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CallAnswer, CallRequest } from '@morpheo/common';
import { COMPUTE_DEFAULTS } from '@morpheo/compute-api';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { type Platform, type PlatformOptions, startPlatform } from '../platform.ts';
import { archiveOf } from './archives.ts';
import { uploadModel, uploadProgram } from './uploads.ts';

/** The embedded platform in a folder of its own, with the algorithm whose calls say what it does. */
async function open(options: Partial<PlatformOptions> = {}) {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await mkdtempDisposable(join(tmpdir(), 'morpheo-calls-')));
  const platform = stack.use(await startPlatform({ folder: join(path, 'home'), log: silentLog, ...options }));
  const algo = await uploadProgram(platform.storage, 'algo', 'runner-obeys');
  const opened = stack.move();
  return {
    ...{ platform, path, algo },
    call: async (program: string, members: Partial<CallRequest> = {}, signal?: AbortSignal) =>
      await callOn(platform, { algo, ...members }, program, signal),
    runners: async () => (await platform.compute.listRunners({})).items,
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

async function callOn(
  { compute }: Pick<Platform, 'compute'>,
  body: CallRequest,
  program: string,
  signal?: AbortSignal,
): Promise<CallAnswer> {
  const inputs = [{ path: '/in/program', inline: base64(program) }, ...(body.inputs ?? [])];
  const answer = await compute.postCall({ headers: {}, body: { ...body, inputs } }, { signal });
  if ('uuid' in answer) throw new Error('It became an order');
  return answer;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

/** What a call left in its file `answer`. */
function answerOf({ outputs }: CallAnswer): string {
  return Buffer.from(outputs.find(({ name }) => name === 'answer')?.data ?? '', 'base64').toString();
}

const COUNTS = `
keeps.calls = (keeps.calls ?? 0) + 1;
console.log('call', keeps.calls);
fs.writeFileSync(outputs + '/answer', String(keeps.calls));
`;

test('A program stays between two calls of one owner, and of a call nothing is kept', async (t) => {
  await using fixture = await open();
  const first = await fixture.call(COUNTS);
  t.is(answerOf(first), '1');
  t.is(first.reused, 0);
  t.true(first.ms.started > 0);
  const second = await fixture.call(COUNTS);
  t.is(answerOf(second), '2');
  t.like(second, { reused: 1, log: 'call 2\n', ms: { started: 0 } });
  await eventually(t, async (is) =>
    is.like((await fixture.runners())[0], { state: 'idle', calls: 2, image: `algo ${fixture.algo}` }),
  );
  t.is((await fixture.platform.compute.listOrders({ query: {} })).total, 0);
});

test('Calls of two owners are never answered by the same program', async (t) => {
  await using fixture = await open();
  for (const turn of ['1', '2'])
    for (const owner of ['ann', 'ben'])
      t.is(answerOf(await fixture.call(COUNTS, { owner })), turn, `${owner}, ${turn}`);
  await eventually(t, async (is) => {
    const runners = await fixture.runners();
    is.deepEqual(runners.map(({ owner }) => owner).sort(), ['ann', 'ben']);
    is.is(new Set(runners.map(({ key }) => key)).size, 2);
  });
});

test('A model is served by its own algorithm, which finds it where a prediction does', async (t) => {
  await using fixture = await open();
  const { storage } = fixture.platform;
  const archive = await archiveOf(join(import.meta.dirname, 'programs/runner-obeys'));
  const model = await uploadModel(storage, fixture.algo, new Uint8Array(archive));
  const reads = `
    const at = process.argv[process.argv.indexOf('-V') + 1] + '/model';
    fs.writeFileSync(outputs + '/answer', process.argv.slice(-2).join(' ') + ': ' + fs.readdirSync(at).sort());
  `;
  const body = { model, inputs: [{ path: '/in/program', inline: base64(reads) }] };
  const answer = await fixture.platform.compute.postCall({ headers: {}, body });
  t.is('uuid' in answer ? '' : answerOf(answer), '-T serve: Dockerfile,main.mjs');
  await eventually(t, async (is) => is.like((await fixture.runners())[0], { model }));
});

test('A call whose program says no, dies, is too slow or leaves a link ends so, and the next one is answered', async (t) => {
  await using fixture = await open();
  const { call } = fixture;
  const no = await t.throwsAsync(
    call("console.log('looking'); throw new RangeError('There is no class 7.');"),
    {
      code: 'call_failed',
      message: 'There is no class 7.',
    },
  );
  t.like(no, { status: 422, details: { error_type: 'RangeError', log: 'looking\n' } });
  const dies =
    "console.error('no more memory'); await new Promise((told) => process.stderr.write('', told)); process.exit(3);";
  const dead = await t.throwsAsync(call(dies), { code: 'unavailable', message: /exit code 3/ });
  t.like(dead, { status: 503 });
  t.regex(String(dead && 'details' in dead ? JSON.stringify(dead.details) : ''), /no more memory/);
  const slow = call('await new Promise(() => setInterval(() => {}, 1000));', { limits: { wall_seconds: 1 } });
  t.like(await t.throwsAsync(slow, { code: 'deadline_passed', message: /wall_seconds/ }), { status: 504 });
  const link = call("fs.symlinkSync('/etc/passwd', outputs + '/answer');");
  await t.throwsAsync(link, { code: 'call_failed', message: /answer is a link/ });
  t.is(answerOf(await call(COUNTS)), '1');
});

test('A program that never asks for a call is waited for as long as its caller lets it', async (t) => {
  await using fixture = await open();
  const waits = fixture.call('', { env: { WAIT: 'for ever' }, wait_seconds: 1 });
  const error = await t.throwsAsync(waits, { code: 'deadline_passed', message: /had not started/ });
  t.like(error, { status: 504 });
});

test('A program that fails at three starts is not started again until somebody asks', async (t) => {
  await using fixture = await open();
  const flag = join(fixture.path, 'broken');
  await writeFile(flag, '');
  const members = { env: { FAIL_WHILE: flag.slice(1), SAY: 'I cannot start' } };
  const failing = async () => {
    const error = await t.throwsAsync(fixture.call(COUNTS, members), { code: 'unavailable' });
    t.regex(JSON.stringify(error && 'details' in error ? error.details : {}), /I cannot start/);
  };
  await failing();
  await eventually(t, async (is) => is.like((await fixture.runners())[0], { state: 'broken' }));
  await rm(flag);
  await failing();
  const [{ key } = { key: '' }] = await fixture.runners();
  await fixture.platform.compute.retryRunner({ params: { key } });
  await eventually(t, async (is) => is.is(answerOf(await fixture.call(COUNTS, members)), '1'));
});

test('A call is ended when its caller goes, and its program with it', async (t) => {
  await using fixture = await open();
  const flag = join(fixture.path, 'begun');
  const caller = new AbortController();
  const begins = `fs.writeFileSync(${JSON.stringify(flag)}, ''); await new Promise(() => setInterval(() => {}, 1000));`;
  const calling = fixture.call(begins, {}, caller.signal);
  await eventually(t, async (is) => is.like((await fixture.runners())[0], { state: 'busy' }));
  caller.abort(new Error('enough'));
  await t.throwsAsync(calling, { message: 'enough' });
  await eventually(t, async (is) => is.deepEqual(await fixture.runners(), []));
});

test('Of calls that nobody takes so many wait as may, and others are refused at once', async (t) => {
  const calls = { ...COMPUTE_DEFAULTS.calls, perProgram: 2 };
  await using fixture = await open({ compute: { calls } });
  const caller = new AbortController();
  const never = 'await new Promise(() => setInterval(() => {}, 1000));';
  const waiting = Array.from({ length: 30 }, async () => {
    const { connection } = fixture.platform;
    const { name, secret } = connection.credentials;
    const answer = await fetch(`${connection.compute}/v1/calls`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`,
      },
      body: JSON.stringify({ algo: fixture.algo, inputs: [{ path: '/in/program', inline: base64(never) }] }),
      signal: caller.signal,
    });
    return { status: answer.status, text: await answer.text() };
  });
  const refused = await Promise.any(waiting);
  t.is(refused.status, 429);
  t.regex(refused.text, /wait already/);
  caller.abort();
  await Promise.allSettled(waiting);
});

test('A call that is to be answered later becomes an order', async (t) => {
  await using fixture = await open();
  const { compute, storage } = fixture.platform;
  const body = { algo: fixture.algo, inputs: [{ path: '/in/program', inline: base64(COUNTS) }] };
  const accepted = await compute.postCall({ headers: { prefer: 'respond-async' }, body });
  const id = 'uuid' in accepted ? accepted.uuid : '';
  await eventually(t, async (is) => is.is((await compute.getOrder({ params: { id } })).status, 'done'));
  const { result } = await compute.getOrder({ params: { id } });
  const files = await storage.listOutputFiles({ params: { uuid: result?.uuid ?? '' }, query: {} });
  t.deepEqual(
    files.items.map(({ path }) => path),
    ['answer'],
  );
});
