import { PlatformError } from '@morpheo/common';
import test from 'ava';
import { createClient } from './client.ts';
import { isAlreadyApplied } from './services.ts';
import { contract } from './testing/contract.ts';
import { openPeer } from './testing/peer.ts';

const one = { params: { id: '1' } };

async function answered(
  status: number,
  body: string,
  headers: Record<string, string> = {},
): Promise<PlatformError> {
  await using peer = await openPeer((response) => response.writeHead(status, headers).end(body));
  const error: unknown = await createClient(contract, { url: peer.url })
    .drop(one)
    .catch((thrown: unknown) => thrown);
  if (error instanceof PlatformError) return error;
  throw new Error('The call did not throw a PlatformError');
}

test('An error answer keeps its code, text and details', async (t) => {
  const body = {
    type: 'x',
    title: 'x',
    status: 409,
    detail: 'Gone on.',
    code: 'stale_attempt',
    error: 'y',
    by: 3,
  };
  const error = await answered(409, JSON.stringify(body));
  t.like(error, { code: 'stale_attempt', message: 'Gone on.', details: { by: 3 } });
  t.regex(String(error.cause), /DELETE http:.*\/things\/1 answered 409/);
});

test('The errors of the originals get the code of their status', async (t) => {
  t.like(await answered(400, '{"error":"Bad."}'), { code: 'invalid_request', message: 'Bad.' });
  t.like(await answered(400, '{"Error":"no update of learnuplet x"}'), {
    message: 'no update of learnuplet x',
  });
  t.like(await answered(409, '{"error":"x"}'), { code: 'conflict' });
  t.like(await answered(404, 'Not Found'), { code: 'not_found', message: 'Not Found' });
  t.like(await answered(418, '{"code":"teapot"}'), { code: 'invalid_request' });
  t.like(await answered(502, '<html>'), { code: 'unavailable' });
  t.like(await answered(500, ''), { code: 'internal' });
  t.regex((await answered(401, '')).message, /DELETE http:.* answered 401/);
});

test('A long error answer is neither read nor shown whole', async (t) => {
  t.is((await answered(500, 'x'.repeat(10_000))).message.length, 500);
  t.is((await answered(500, 'x'.repeat(1_000_000))).code, 'internal');
});

test('How long to wait is told beside the error', async (t) => {
  t.deepEqual((await answered(503, '', { 'retry-after': '7' })).details, { retry_after: 7 });
});

test('A service that does not answer is unavailable, without its credentials', async (t) => {
  // Nobody gets this port without asking for it.
  const url = 'http://127.0.0.1:2';
  const client = createClient(contract, { url, credentials: { name: 'u', secret: 'topsecret' } });
  const error = await t.throwsAsync(client.drop(one), { code: 'unavailable' });
  t.regex(error?.message ?? '', /^DELETE http:\/\/127\.0\.0\.1:\d+\/things\/1 got no answer: .*ECONNREFUSED/);
  t.false(error?.message.includes('topsecret'));
});

test('A name that nobody knows is unavailable', async (t) => {
  const client = createClient(contract, { url: 'http://nobody.invalid' });
  await t.throwsAsync(client.drop(one), { code: 'unavailable', message: /nobody\.invalid/ });
});

test('An answer that does not fit the contract names the misfit', async (t) => {
  await using peer = await openPeer((response, request) =>
    response.end(request.url === '/things/1' ? '{"n":"x"}' : 'no'),
  );
  const client = createClient(contract, { url: peer.url });
  const change = async (id: string) =>
    await client.change({ params: { id }, query: {}, headers: {}, body: { name: '' } });
  await t.throwsAsync(change('1'), { code: 'internal', message: /PUT .*\/things\/1 .*\(n: / });
  await t.throwsAsync(change('2'), { code: 'internal', message: /it is no JSON/ });
});

test('An answer that is cut is unavailable', async (t) => {
  await using peer = await openPeer((response) => {
    response.writeHead(200, { 'content-length': '99' }).write('{', () => response.destroy());
  });
  const client = createClient(contract, { url: peer.url });
  const call = client.change({ params: { id: '1' }, query: {}, headers: {}, body: { name: '' } });
  await t.throwsAsync(call, { code: 'unavailable' });
});

test('An aborted call throws the reason of its signal', async (t) => {
  const arrived = Promise.withResolvers<void>();
  await using peer = await openPeer((response) => {
    response.writeHead(200).flushHeaders();
    arrived.resolve();
  });
  const client = createClient(contract, { url: peer.url });
  const early = new AbortController();
  const reason = new Error('enough');
  early.abort(reason);
  t.is(await t.throwsAsync(client.drop(one, { signal: early.signal })), reason);
  const late = new AbortController();
  const call = client.change(
    { params: { id: '1' }, query: {}, headers: {}, body: { name: '' } },
    { signal: late.signal },
  );
  await arrived.promise;
  late.abort(reason);
  t.is(await t.throwsAsync(call), reason);
});

test('A callback that changed nothing is told from other refusals', (t) => {
  const refusal = (text: string) => new PlatformError('invalid_request', text);
  t.true(isAlreadyApplied(refusal('no update of learnuplet 1')));
  t.true(isAlreadyApplied(refusal('worker not set for learnuplet 1. Might be already pending')));
  t.false(isAlreadyApplied(refusal('wrong key in posted data')));
  t.false(isAlreadyApplied(new PlatformError('not_found', 'no update of learnuplet 1')));
  t.false(isAlreadyApplied(new Error('no update of learnuplet 1')));
});
