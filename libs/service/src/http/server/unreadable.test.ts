import test from 'ava';
import { openSmallService } from '../testing/small-service.ts';
import { talk } from '../testing/talk.ts';
import { problemOfUnreadable } from './unreadable.ts';

const HOST = 'Host: localhost\r\n';

/** The status, the content type and the problem body of a whole answer. */
function problemIn(answer: string): Record<string, unknown> {
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  const type = /^content-type: (.*)$/im.exec(head)?.[1]?.trim();
  return { ...JSON.parse(body), line: Number(head.split(' ')[1]), type };
}

test('What cannot be read as a request is answered with a problem body that says why', async (t) => {
  await using service = await openSmallService();
  const chunked = `POST /data HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\nzz\r\n`;
  for (const [bytes, status, code, detail] of [
    [`BREW / HTTP/1.1\r\n${HOST}\r\n`, 400, 'invalid_request', /Invalid method/],
    [`GET / HTTP/9.9\r\n${HOST}\r\n`, 400, 'invalid_request', /Invalid HTTP version/],
    ['GET / HTTP/1.1\r\n\r\n', 400, 'invalid_request', /no Host field/],
    [`GET / HTTP/1.1\r\n${HOST}X: ${'y'.repeat(20_000)}\r\n\r\n`, 431, 'headers_too_large', /send fewer/],
    [chunked, 400, 'invalid_request', /chunk/],
    [`CONNECT localhost:1 HTTP/1.1\r\n${HOST}\r\n`, 400, 'invalid_request', /no proxy/],
    ['\u0016\u0003\u0001', 400, 'invalid_request', /no HTTP/],
  ] as const) {
    const { line, type, detail: told, ...problem } = problemIn(await talk(service.url, bytes));
    t.like(
      { line, type, ...problem },
      { line: status, status, type: 'application/problem+json', code },
      bytes,
    );
    t.regex(String(told), detail);
  }
});

test('A request whose header fields do not arrive in time is told so, and a broken connection nothing', (t) => {
  const withCode = (code: string) => Object.assign(new Error(), { code });
  t.is(problemOfUnreadable(withCode('ERR_HTTP_REQUEST_TIMEOUT'))?.code, 'timed_out');
  t.is(problemOfUnreadable(withCode('HPE_CHUNK_EXTENSIONS_OVERFLOW'))?.code, 'too_large');
  t.is(problemOfUnreadable(withCode('ECONNRESET')), undefined);
  t.is(problemOfUnreadable(withCode('ERR_SSL_HTTP_REQUEST')), undefined);
});

test('An answer that is due or on its way is cut, and has no other answer in it', async (t) => {
  const body = () =>
    new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode('line\n')),
    });
  const follow = async () => ({ status: 200, headers: { 'content-type': 'text/plain' }, body: body() });
  await using service = await openSmallService({ api: { follow } });
  const answer = await talk(
    service.url,
    `GET /v1/things/a/log HTTP/1.1\r\n${HOST}\r\nBREW / HTTP/1.1\r\n\r\n`,
  );
  t.false(answer.includes('400'), answer);
});

test('What a client expects beside leave to send is passed over', async (t) => {
  await using service = await openSmallService();
  const text = `GET /health HTTP/1.1\r\n${HOST}Expect: a-miracle\r\nConnection: close\r\n\r\n`;
  t.regex(await talk(service.url, text), /^HTTP\/1\.1 200 /);
});
