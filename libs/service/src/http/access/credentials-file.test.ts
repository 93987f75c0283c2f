import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { cheapHash } from '../testing/cheap-hash.ts';
import { parseCredentials, readCredentials } from './credentials-file.ts';

test('A credentials file is read, and a faulty one is refused by name', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'credentials-'));
  const path = join(folder.path, 'credentials.json');
  const entries = [{ name: 'ann', roles: ['reader'], secretHash: cheapHash('x') }];
  await writeFile(path, JSON.stringify(entries));
  t.deepEqual(await readCredentials(path), entries);
  const faulty = [
    ...['', '{}', '[{"name":"ann"}]', '[{"name":"ann","roles":["king"],"secretHash":"x"}]'],
    // A role that only a ticket gives.
    '[{"name":"ann","roles":["attempt"],"secretHash":"x"}]',
    // What a service could not use.
    JSON.stringify([{ ...entries[0], secretHash: 'secret' }]),
    JSON.stringify([...entries, ...entries]),
  ];
  for (const text of faulty) {
    await writeFile(path, text);
    const error = await t.throwsAsync(readCredentials(path), { code: 'invalid_request' }, text);
    t.true(error?.message.includes(path));
  }
  await t.throwsAsync(readCredentials(`${path}.gone`), { code: 'invalid_request' });
});

test('A file that is no JSON is named, and nothing of it is quoted', (t) => {
  const error = t.throws(() => parseCredentials('[{"name": hush', 'callers.json'));
  t.regex(error.message, /^The credentials file callers\.json should be .*: It is not JSON\.$/);
  t.notRegex(`${error.message} ${String(error.cause)}`, /hush/);
});
