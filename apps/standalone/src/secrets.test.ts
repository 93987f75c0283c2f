import { mkdtempDisposable, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { readOrMakeSecrets } from './secrets.ts';

test('A folder of an earlier version keeps its secrets, and gets those of callers that it does not know', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-secrets-'));
  const path = join(folder.path, 'secrets.json');
  const { shepherd: _unknownThen, ...before } = await readOrMakeSecrets(folder.path);
  await writeFile(path, JSON.stringify(before), { mode: 0o600 });
  const after = await readOrMakeSecrets(folder.path);
  t.like(after, before);
  t.regex(after.shepherd, /^[0-9a-f]{64}$/);
  t.deepEqual(await readOrMakeSecrets(folder.path), after);
  t.is((await stat(path)).mode & 0o777, 0o600);
  await writeFile(path, '{"admin": "short"}');
  await t.throwsAsync(readOrMakeSecrets(folder.path), {
    message: /secrets\.json is not as the platform wrote it/,
  });
  t.is(await readFile(path, 'utf8'), '{"admin": "short"}');
});
