import test from 'ava';
import { type BuildRecord, readBuildRecords } from './build-records.ts';

async function read(...pieces: readonly string[]): Promise<BuildRecord[]> {
  const records: BuildRecord[] = [];
  async function* source() {
    for (const piece of pieces) yield Buffer.from(piece);
  }
  for await (const record of readBuildRecords(source())) records.push(record);
  return records;
}

test('Records are read however they are cut, and an error among them is one', async (t) => {
  const pieces = [
    '{"stream":"Step 1',
    '/2"}\r\n{"aux":{"ID":"sha256:1"}}\n',
    '{"errorDetail":{"code":1,"message":"no"},"error":"x"}',
  ];
  t.deepEqual(await read(...pieces), [
    { kind: 'text', text: 'Step 1/2' },
    { kind: 'image', id: 'sha256:1' },
    { kind: 'error', message: 'no' },
  ]);
});

test('What is no record is refused, as is one without end', async (t) => {
  await t.throwsAsync(read('<html>\n'), { code: 'unavailable' });
  await t.throwsAsync(read('{"stream":"', 'x'.repeat(2_000_000)), { code: 'unavailable' });
});
