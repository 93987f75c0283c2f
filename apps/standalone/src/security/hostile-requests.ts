/** Draws a number of at least 0 and less than 1. */
type Draw = () => number;

const PATHS = [
  '/',
  '/health',
  '/ready',
  '/learn',
  '/pred',
  '/v1/orders',
  '/v1/orders?limit=-1',
  '/v1/orders?cursor=%00',
  '/v1/orders/00000000-0000-0000-0000-000000000000/events',
  '/v1/workers/00000000-0000-0000-0000-000000000000/claim',
  '/algo',
  '/data',
  '/model?algo=1&uuid=2',
  '/data/../../../etc/passwd/blob',
  '/algo/%2e%2e%2f%2e%2e%2fetc%2fpasswd/blob',
  '/%',
  '/%ff%fe',
  '/%64ata/00000000-0000-0000-0000-000000000000/blob',
  '/docs/../../package.json',
  '//evil/learn',
  'http://evil.example/learn',
  '*',
  '/learn\u0000',
  `/${'a'.repeat(9000)}`,
  '/worker/learnuplet/__proto__',
  '/constructor',
] as const;

const BODIES = [
  '',
  '{}',
  'null',
  '[]',
  '{"uuid":1e400}',
  '{"rank":1e400,"status":"todo"}',
  '{"__proto__":{"status":"done"},"uuid":"x"}',
  '{"constructor":{"prototype":{"a":1}}}',
  `${'['.repeat(50_000)}`,
  `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`,
  '{"uuid":"\\ud800"}',
  '\u0000'.repeat(100),
  '{"train_data":[null,null],"status":"todo"}',
  `{"problem":"${'x'.repeat(100_000)}"}`,
  '--b\r\nContent-Disposition: form-data; name="size"\r\n\r\n1\r\n--b\r\nContent-Disposition: form-data; name="blob"\r\n\r\nx',
  '--b\r\nContent-Disposition: form-data; name="uuid"\r\n\r\n../../x\r\n--b--',
  '--b--',
] as const;

const HEADERS = [
  'Content-Type: application/json',
  'Content-Type: multipart/form-data; boundary=b',
  'Content-Type: multipart/form-data',
  `Content-Type: multipart/form-data; boundary=${'b'.repeat(300)}`,
  'Content-Type: \u00ff',
  'Authorization: Basic ////',
  'Authorization: Bearer \u00e9',
  'Range: bytes=0-18446744073709551616',
  'Range: bytes=-0',
  'Range: bytes=5-1,,',
  'If-None-Match: """',
  'Content-Digest: sha-256=:!:',
  'Last-Event-ID: -1',
  'Last-Event-ID: 99999999999999999999999',
  'Expect: 100-continue',
  'Expect: a-miracle',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: \u000bchunked',
  'Content-Length: 5',
  'Content-Length: -1',
  'Content-Length: 99999999999999999999',
  'Connection: upgrade\r\nUpgrade: websocket',
  'Origin: http://evil.example',
  'Origin: null',
  'Host: evil.example',
  'X-Method-Override: DELETE',
  'traceparent: 00-zz-zz-zz',
  'Cookie: a=b',
  `X-Long: ${'y'.repeat(20_000)}`,
  ' Folded: yes',
  'No colon at all',
] as const;

const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'CONNECT',
  'BREW',
  '',
] as const;

/** The bytes of one request such as only an enemy sends; with the right credentials at times, to get further. */
export function hostileRequest(draw: Draw, authorization: string): Buffer {
  const body = pick(draw, BODIES);
  const lines = [
    `${pick(draw, METHODS)} ${pick(draw, PATHS)} HTTP/${pick(draw, ['1.1', '1.1', '1.0', '9.9'])}`,
  ];
  if (draw() < 0.95) lines.push('Host: localhost');
  if (draw() < 0.6) lines.push(`Authorization: ${authorization}`);
  for (let count = Math.floor(draw() * 4); count > 0; count -= 1) lines.push(pick(draw, HEADERS));
  if (draw() < 0.7) lines.push(`Content-Length: ${Buffer.byteLength(body)}`);
  const text = `${lines.join(draw() < 0.95 ? '\r\n' : '\n')}\r\n\r\n${body}`;
  return spoil(draw, Buffer.from(text, 'latin1'));
}

/** At times some bytes are changed, or the end is missing. */
function spoil(draw: Draw, bytes: Buffer): Buffer {
  if (draw() < 0.2) return bytes.subarray(0, Math.floor(draw() * bytes.length));
  if (draw() < 0.3) {
    for (let count = 1 + Math.floor(draw() * 5); count > 0; count -= 1) {
      bytes[Math.floor(draw() * bytes.length)] = Math.floor(draw() * 256);
    }
  }
  return bytes;
}

function pick<T>(draw: Draw, list: readonly T[]): T {
  const one = list[Math.floor(draw() * list.length)];
  if (one === undefined) throw new RangeError('There is nothing to pick from.');
  return one;
}
