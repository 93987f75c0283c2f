import test from 'ava';
import { classificationOf } from './classification/settings.ts';
import { databaseFileOf, loadConfig } from './config.ts';

const NEEDED = ['--compute', 'http://c', '--storage', 'http://s'];
const KEYED = [...NEEDED, '--api-key', '0123456789abcdef', '--data-dir', '/data'];

function valuesOf(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const loaded = loadConfig(argv, env);
  return loaded.kind === 'settings' ? loaded.values : undefined;
}

test('The versions of the releases are spoken, each in its dialect, or those of the operator', (t) => {
  t.deepEqual(
    [...(valuesOf(KEYED)?.versions ?? [])],
    [
      ['0.2.2', '2017'],
      ['0.3.0', '2019'],
      ['0.4.0', '2019'],
      ['0.5.0', '2019'],
    ],
  );
  const own = valuesOf([...KEYED, '--versions', '1=2017', '--versions', '2=2019', '--api-version', '2']);
  t.deepEqual(
    [...(own?.versions ?? [])],
    [
      ['1', '2017'],
      ['2', '2019'],
    ],
  );
  for (const wrong of ['1', '1=2018', '=2017'])
    t.throws(() => valuesOf([...KEYED, '--versions', wrong]), { message: /should be such as 0.3.0=2019/ });
  t.throws(() => valuesOf([...KEYED, '--api-version', '9']), {
    message: /--api-version 9 is none of --versions/,
  });
});

test('What cannot be served by itself, or by anybody, is refused', (t) => {
  t.throws(() => valuesOf([...KEYED, '--serve', 'training']), { message: /serve both/ });
  t.throws(() => valuesOf([...NEEDED, '--data-dir', '/data']), {
    message: /Nobody could call: give --api-key/,
  });
  t.throws(() => valuesOf([...NEEDED, '--api-key', '0123456789abcdef']), {
    message: /--data-dir is required/,
  });
  t.throws(() => valuesOf([...NEEDED, '--api-key', 'short', '--data-dir', '/data']), {
    message: /should have 16 characters or more/,
  });
});

test('With PostgreSQL no folder is needed', (t) => {
  const given = [...NEEDED, '--api-key', '0123456789abcdef', '--db-url', 'postgres://u:p@h/n'];
  t.is(valuesOf(given)?.dataDir, undefined);
});

test('Two services that share a data folder have a database each', (t) => {
  const fileOf = (serve: string) =>
    databaseFileOf(valuesOf([...KEYED, '--serve', serve]) ?? { serve: [], dataDir: '' });
  t.is(fileOf('sensory,training'), '/data/dicebox.db');
  t.is(fileOf('sensory,training,classification'), '/data/dicebox.db');
  t.is(fileOf('classification'), '/data/classification.db');
});

test('The trainings that count are those of the owner of the key, of whom the operator names, or of anybody where nobody is asked', (t) => {
  const ofWhom = (...more: string[]) => {
    const values = valuesOf([...NEEDED, '--data-dir', '/data', ...more]);
    return values && classificationOf(values).trainingsOf;
  };
  const key = ['--api-key', '0123456789abcdef'];
  t.is(ofWhom(...key), 'dicebox');
  t.is(ofWhom(...key, '--api-user', 'admin'), 'admin');
  t.is(ofWhom(...key, '--api-user', 'admin', '--trainings-of', 'ann'), 'ann');
  t.is(ofWhom(...key, '--insecure-open'), 'dicebox');
  t.is(ofWhom('--credentials', '/callers.json', '--insecure-open'), 'dicebox');
  t.is(ofWhom('--insecure-open'), undefined);
});
