import test from 'ava';
import { memoryLog } from '../../log/index.ts';
import { OutageLog } from './outage-log.ts';

function outageLog() {
  const log = memoryLog();
  return {
    outages: new OutageLog(log),
    lines: () => log.entries.map(({ level, message }) => `${level} ${message}`),
  };
}

test('A trouble is told once, however many it hits, and once when all are well', (t) => {
  const { outages, lines } = outageLog();
  for (const who of ['a', 'b', 'a', 'b']) outages.note(who, 'it rains');
  t.deepEqual(lines(), ['warn it rains']);
  outages.over('a');
  t.is(lines().length, 1);
  outages.over('b');
  outages.over('b');
  t.deepEqual(lines(), ['warn it rains', 'info works again']);
});

test('Another reason is told, and takes the place of the first', (t) => {
  const { outages, lines } = outageLog();
  outages.note('a', 'it rains');
  outages.note('a', 'it snows');
  outages.over('a');
  t.deepEqual(lines(), ['warn it rains', 'warn it snows', 'info works again']);
});

test('Who leaves is not told to be well', (t) => {
  const { outages, lines } = outageLog();
  outages.note('a', 'it rains');
  outages.leave('a');
  outages.over('a');
  t.deepEqual(lines(), ['warn it rains']);
});
