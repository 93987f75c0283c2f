import { buffer } from 'node:stream/consumers';
import { parseDigestField, storageContract } from '@morpheo/common';
import { COSTLY_TEXTS, processorMs } from '@morpheo/service/testing';
import test from 'ava';
import { parseByteRange, selectRepresentation } from '../downloads/conditions.ts';
import { readChecksum } from '../resumable/file.ts';
import { readMetadata } from '../resumable/metadata.ts';
import { basic, openTestService } from '../testing/open-service.ts';
import { multipartBoundary, parseMediaType, readMultipart } from '../uploads/multipart.ts';

const MOST_MS = 50;
const ID = '6c7a2f5e-0b1d-4f0c-9f8e-2b6d1f7c0a11';

/** Every part of a form, its blob included. */
async function readParts(header: string): Promise<void> {
  async function* source() {
    yield Buffer.from(`--X\r\n${header}\r\n\r\nvalue\r\n--X--\r\n`);
  }
  using reader = readMultipart(source(), 'X');
  for (let part = await reader.next(); part !== null; part = await reader.next()) {
    if (part.kind === 'blob') await buffer(part.body);
  }
}

const PARSERS: Readonly<Record<string, (text: string) => unknown>> = {
  'the media type of a body': parseMediaType,
  'the boundary of a form': multipartBoundary,
  'the disposition of a part': (text) => readParts(`Content-Disposition: ${text}`),
  'a form-data part': (text) => readParts(`Content-Disposition: form-data; ${text}`),
  'the name of a part': (text) => readParts(`Content-Disposition: form-data; name="${text}"`),
  'another field of a part': (text) => readParts(`Content-Type: ${text}`),
  'a range': (text) => parseByteRange(text, 100),
  'a condition': (text) => {
    const conditions = { 'if-match': text, 'if-none-match': text, 'if-range': text, range: text };
    return selectRepresentation('GET', conditions, { etag: '"a"', size: 100 });
  },
  'a digest': parseDigestField,
  'a checksum': readChecksum,
  'the metadata of a resumable upload': readMetadata,
};

for (const [what, parse] of Object.entries(PARSERS)) {
  test.serial(
    `Reading ${what} takes less than ${MOST_MS} ms, whatever 15,000 characters it is made of`,
    async (t) => {
      for (const [pattern, text] of Object.entries(COSTLY_TEXTS)) {
        const ms = await processorMs(MOST_MS, async () => {
          try {
            await parse(text);
          } catch (error) {
            t.true(error instanceof Error && error.name === 'PlatformError', String(error));
          }
        });
        t.true(ms < MOST_MS, `${pattern}: ${ms} ms`);
      }
    },
  );
}

const FIELDS = [
  'Accept',
  'Authorization',
  'Baggage',
  'Content-Digest',
  'Content-Encoding',
  'Content-Type',
  'Cookie',
  'Expect',
  'Forwarded',
  'Host',
  'If-Match',
  'If-None-Match',
  'If-Range',
  'Origin',
  'Prefer',
  'Range',
  'Traceparent',
  'Tracestate',
  'Tus-Resumable',
  'Upload-Checksum',
  'Upload-Length',
  'Upload-Metadata',
  'Upload-Offset',
  'X-Forwarded-For',
  'X-HTTP-Method-Override',
  'X-Request-Id',
];

test.serial(
  'A request with a header field or an address of 15,000 characters is answered in less than 50 ms',
  async (t) => {
    await using service = await openTestService();
    const send = async (line: string, field: string) => {
      const known = field.startsWith('Authorization') ? '' : `Authorization: ${basic('worker')}\r\n`;
      const host = field.startsWith('Host') ? '' : 'Host: localhost\r\n';
      const ms = await processorMs(MOST_MS, async () => {
        const answer = await service.send(`${line}\r\n${host}${known}${field}Connection: close\r\n\r\n`);
        t.regex(answer, /^HTTP\/1\.1 [1-4]\d\d /);
      });
      t.true(ms < MOST_MS, `${line.slice(0, 60)} ${field.slice(0, 60)}: ${ms} ms`);
    };
    for (const text of Object.values(COSTLY_TEXTS)) {
      for (const name of FIELDS) await send(`GET /data/${ID}/blob HTTP/1.1`, `${name}: ${text}\r\n`);
      for (const name of ['Content-Type', 'Content-Digest', 'Origin']) {
        await send(`POST /data HTTP/1.1`, `${name}: ${text}\r\nContent-Length: 0\r\n`);
      }
      const plain = encodeURIComponent(text).slice(0, 14_000);
      for (const path of [`/${plain}`, `/data/${plain}/blob`, `/algo?cursor=${plain}`, `/algo?${plain}`]) {
        await send(`GET ${path} HTTP/1.1`, '');
      }
    }
  },
);

test('Every header field that a route of the contract reads has a bound of its own', (t) => {
  for (const [key, endpoint] of Object.entries(storageContract.endpoints)) {
    const schema = 'headers' in endpoint ? endpoint.headers : undefined;
    for (const [name, field] of Object.entries(schema?.shape ?? {})) {
      t.false(field.safeParse('1'.repeat(15_000)).success, `${key} ${name}`);
    }
  }
});
