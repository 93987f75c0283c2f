import { randomUUID } from 'node:crypto';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';
import fc from 'fast-check';
import { someGpus } from '../testing/gpus.ts';
import { aJournal } from '../testing/left-behind.ts';
import { AttemptJournal } from './journal.ts';

const attempt = { order: randomUUID(), attempt: 2 };
const begin = (path: string) =>
  AttemptJournal.begin(path, { ...attempt, leaseMs: 30_000, gpus: someGpus(1) });
const result = { ended: 'exited' as const, exitCode: 0, seconds: 3, peakMemoryBytes: 5 };

test('A journal is read as it was written', async (t) => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'record.json');
  const journal = begin(path);
  await journal.begin('detarget');
  await journal.end('detarget', result);
  await journal.begin('train');
  journal.printed('train', 70);
  journal.printed('train', 30);
  await journal.resume();
  await journal.close();
  const read = await AttemptJournal.read(path, attempt);
  t.deepEqual(read?.step('detarget'), { state: 'ended', result });
  t.like(read?.step('train'), { state: 'begun', printed: { bytes: 100 } });
  t.is(read?.step('perf'), undefined);
  t.deepEqual(read?.gpus, someGpus(1));
  t.is(read?.leaseMs, 30_000);
  t.deepEqual(await readdir(folder.path), ['record.json']);
});

test('A step that is forgotten is as if it never was', async (t) => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'record.json');
  const journal = begin(path);
  await journal.begin('detarget');
  await journal.end('detarget', result);
  await journal.forget('detarget');
  t.false((await AttemptJournal.read(path, attempt))?.isResumable);
});

test('A journal with any content is read without harm', async (t) => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'record.json');
  const good = aJournal(attempt);
  const damaged = fc
    .tuple(fc.constantFrom(...Object.keys(good)), fc.jsonValue())
    .map(([key, value]) => JSON.stringify({ ...good, [key]: value }));
  await writeFile(path, JSON.stringify(good));
  t.deepEqual((await AttemptJournal.read(path, attempt))?.of, attempt);
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.json(), damaged), async (text) => {
      await writeFile(path, text);
      const read = await AttemptJournal.read(path, attempt);
      if (read === undefined) return;
      t.deepEqual(read.of, attempt);
      t.is(typeof read.isResumable, 'boolean');
    }),
    { numRuns: 200 },
  );
});

test('A link or a folder in its place is no journal', async (t) => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'record.json');
  await writeFile(`${path}.good`, JSON.stringify(aJournal(attempt)));
  t.truthy(await AttemptJournal.read(`${path}.good`, attempt));
  await symlink(`${path}.good`, path);
  t.is(await AttemptJournal.read(path, attempt), undefined);
  await mkdir(`${path}.folder`);
  t.is(await AttemptJournal.read(`${path}.folder`, attempt), undefined);
  t.is(await AttemptJournal.read(`${path}.none`, attempt), undefined);
});
