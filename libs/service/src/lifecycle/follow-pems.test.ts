import { mkdtempDisposable, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthority } from '@morpheo/real-parts';
import test from 'ava';
import { memoryLog } from '../log/index.ts';
import { eventually } from '../testing/eventually.ts';
import { followPems } from './follow-pems.ts';

/** The certificates of a test, and files that are followed. */
async function openFollowed() {
  await using stack = new AsyncDisposableStack();
  const authority = stack.use(await createAuthority());
  const [first, second] = await Promise.all([
    authority.certify('first', 'DNS:a'),
    authority.certify('second', 'DNS:a'),
  ]);
  const folder = stack.use(await mkdtempDisposable(join(tmpdir(), 'pems-')));
  const files = {
    ca: join(folder.path, 'ca.pem'),
    cert: join(folder.path, 'cert.pem'),
    key: join(folder.path, 'key.pem'),
  };
  await writeFile(files.ca, authority.ca);
  await writeFile(files.cert, first.cert);
  await writeFile(files.key, first.key);
  const log = memoryLog();
  const pems = await followPems('--nsq-ca', files, { log, stack, everyMs: 1 });
  const opened = stack.move();
  return {
    ...{ authority, first, second, files, pems },
    warnings: () => log.entries.filter(({ level }) => level === 'warn'),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Writes a file beside, and renames it, so that nobody sees half of it. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

test('An authority is what its file holds, whenever that changes', async (t) => {
  await using followed = await openFollowed();
  const { authority, first, files, pems } = followed;
  t.is(pems.ca, authority.ca);
  const both = authority.ca + first.cert;
  await replace(files.ca, both);
  await eventually(t, (t) => t.is(pems.ca, both));
  t.deepEqual(followed.warnings(), []);
});

test('An authority that is empty, none or cut off is a warning once, and the one before is used', async (t) => {
  await using followed = await openFollowed();
  const { authority, first, files, pems } = followed;
  const bad = ['', 'hello', authority.ca.slice(0, 200), authority.ca + first.cert.slice(0, 200)];
  for (const text of bad) {
    await replace(files.ca, text);
    await eventually(t, (t) => t.regex(JSON.stringify(followed.warnings().at(-1)), /no PEM text/));
    t.is(pems.ca, authority.ca);
  }
  t.is(followed.warnings().length, 1);
  await writeFile(files.ca, first.cert);
  await eventually(t, (t) => t.is(pems.ca, first.cert));
});

test('A certificate and its key are taken together', async (t) => {
  await using followed = await openFollowed();
  const { first, second, files, pems } = followed;
  await replace(files.cert, second.cert);
  await eventually(t, (t) => t.regex(JSON.stringify(followed.warnings()), /are no pair/));
  t.deepEqual([pems.cert, pems.key], [first.cert, first.key]);
  await replace(files.key, second.key);
  await eventually(t, (t) => t.deepEqual([pems.cert, pems.key], [second.cert, second.key]));
});

test('Files that are no good at first are refused', async (t) => {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await mkdtempDisposable(join(tmpdir(), 'pems-')));
  const ca = join(folder.path, 'ca.pem');
  const follow = { log: memoryLog(), stack };
  await t.throwsAsync(followPems('--s3-ca', { ca }, follow), { message: /--s3-ca.* cannot be read/ });
  await writeFile(ca, 'hello');
  await t.throwsAsync(followPems('--s3-ca', { ca }, follow), { message: /--s3-ca is no PEM text/ });
});
