import test from 'ava';
import { memoryLog } from '../../log/index.ts';
import { Troubles } from './troubles.ts';

function troubled() {
  const log = memoryLog();
  return {
    troubles: new Troubles(log),
    lines: () => log.entries.map(({ level, message }) => `${level} ${message}`),
  };
}

test('A trouble is told once, however many it hits, and once when all are well', (t) => {
  const { troubles, lines } = troubled();
  for (const who of ['a', 'b', 'a', 'b']) troubles.note(who, 'it rains');
  t.deepEqual(lines(), ['warn it rains']);
  troubles.over('a');
  t.is(lines().length, 1);
  troubles.over('b');
  troubles.over('b');
  t.deepEqual(lines(), ['warn it rains', 'info works again']);
});

test('Another reason is told, and takes the place of the first', (t) => {
  const { troubles, lines } = troubled();
  troubles.note('a', 'it rains');
  troubles.note('a', 'it snows');
  troubles.over('a');
  t.deepEqual(lines(), ['warn it rains', 'warn it snows', 'info works again']);
});

test('Who leaves is not told to be well', (t) => {
  const { troubles, lines } = troubled();
  troubles.note('a', 'it rains');
  troubles.leave('a');
  troubles.over('a');
  t.deepEqual(lines(), ['warn it rains']);
});
