import { createHash } from 'node:crypto';
import test from 'ava';
import { openCalls } from './calls.ts';
import { putObject } from './objects.ts';
import { startFakeS3 } from './testing/fake-s3.ts';
import { TEST_WORDS } from './testing/words.ts';

test('bytes whose checksum goes along are not digested again to sign them', async (t) => {
  const signed: (string | string[] | undefined)[] = [];
  await using server = await startFakeS3(({ headers }) => {
    signed.push(headers['x-amz-content-sha256']);
  });
  const bytes = Buffer.from('some bytes');
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  using calls = openCalls({ ...server.options, words: TEST_WORDS });
  await putObject(calls, 'of a known digest', bytes, { sha256 });
  await putObject(calls, 'of a checksum of the client', bytes);
  using plain = openCalls({ ...server.options, words: TEST_WORDS, checksums: 'when-required' });
  await putObject(plain, 'without a checksum', bytes, { sha256: 'not looked at' });
  t.deepEqual(signed, [sha256, 'UNSIGNED-PAYLOAD', sha256]);
});
