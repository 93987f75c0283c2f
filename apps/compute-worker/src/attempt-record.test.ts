import { randomUUID } from 'node:crypto';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { temporaryFolder } from './archive/testing.ts';
import { AttemptRecord } from './attempt-record.ts';
import { someGpus } from './testing/gpus.ts';
import { aRecord } from './testing/left-behind.ts';

const attempt = { order: randomUUID(), attempt: 2 };
const begin = (path: string) => AttemptRecord.begin(path, { ...attempt, leaseMs: 30_000, gpus: someGpus(1) });
const result = { ended: 'exited' as const, exitCode: 0, seconds: 3, peakMemoryBytes: 5 };

test('A record is read as it was written', async (t) => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'record.json');
  const record = begin(path);
  await record.begin('detarget');
  await record.end('detarget', result);
  await record.begin('train');
  record.printed('train', 70);
  record.printed('train', 30);
  await record.resume();
  await record.close();
  const read = await AttemptRecord.read(path, attempt);
  t.deepEqual(read?.step('detarget'), { state: 'ended', result });
  t.like(read?.step('train'), { state: 'begun', printed: { bytes: 100 } });
  t.is(read?.step('perf'), undefined);
  t.deepEqual(read?.gpus, someGpus(1));
  t.is(read?.leaseMs, 30_000);
  t.deepEqual(await readdir(folder.path), ['record.json']);
});

test('A step that is to start over is as if it never was', async (t) => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'record.json');
  const record = begin(path);
  await record.begin('detarget');
  await record.end('detarget', result);
  await record.forget('detarget');
  t.false((await AttemptRecord.read(path, attempt))?.isWorthwhile);
});

test('Whatever stands in the file, reading it does no harm', async (t) => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'record.json');
  const good = aRecord(attempt);
  const damaged = fc
    .tuple(fc.constantFrom(...Object.keys(good)), fc.jsonValue())
    .map(([key, value]) => JSON.stringify({ ...good, [key]: value }));
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.json(), damaged), async (text) => {
      await writeFile(path, text);
      const read = await AttemptRecord.read(path, attempt);
      if (read === undefined) return;
      t.deepEqual(read.of, attempt);
      t.is(typeof read.isWorthwhile, 'boolean');
    }),
    { numRuns: 200 },
  );
});

test('A link or a folder in its place is no record', async (t) => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'record.json');
  await writeFile(`${path}.good`, JSON.stringify(aRecord(attempt)));
  t.truthy(await AttemptRecord.read(`${path}.good`, attempt));
  await symlink(`${path}.good`, path);
  t.is(await AttemptRecord.read(path, attempt), undefined);
  await mkdir(`${path}.folder`);
  t.is(await AttemptRecord.read(`${path}.folder`, attempt), undefined);
  t.is(await AttemptRecord.read(`${path}.none`, attempt), undefined);
});
