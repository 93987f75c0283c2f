import test from 'ava';
import { type LogPlace, ShownLog } from './shown-log.ts';

const TERMINAL: LogPlace = { interactive: true, colours: true };
const FILE: LogPlace = { interactive: false, colours: false };

/** The text as it is shown, whole and cut between any two characters. */
function shown(place: LogPlace, text: string): readonly string[] {
  return [[text], [...text]].map((pieces) => {
    const log = new ShownLog(place);
    return pieces.map((piece) => log.next(piece)).join('') + log.end();
  });
}

const BAR = 'begin\n\r 1%|#|\r 2%|##|\r\n\u001b[31mred\u001b[0m\r\nopen\r';

test('On a terminal colours are kept, and a progress bar is drawn over itself', (t) => {
  const expected = 'begin\n\r\u001b[K 1%|#|\r\u001b[K 2%|##|\n\u001b[31mred\u001b[0m\nopen\u001b[0m';
  t.deepEqual(shown(TERMINAL, BAR), [expected, expected]);
  const plain = 'begin\n\r 1%|#|\r 2%|##|\nred\nopen';
  t.deepEqual(shown({ ...TERMINAL, colours: false }, BAR), [plain, plain]);
});

test('Elsewhere colours are left out, and of a progress bar the last piece is kept', (t) => {
  const expected = 'begin\n 2%|##|\nred\nopen';
  t.deepEqual(shown(FILE, BAR), [expected, expected]);
});

test('Nothing else steers a terminal, and no look hides text', (t) => {
  const text = 'a\u001b[2J\u001b]0;title\u0007\u001b[8mhidden\u001b[38;5;8mgrey\u001b[38;5;1;8mhidden\u001b';
  const expected = 'a\uFFFD[2J\uFFFD]0;title\uFFFDhidden\u001b[38;5;8mgreyhidden\uFFFD\u001b[0m';
  t.deepEqual(shown(TERMINAL, text), [expected, expected]);
});

test('A line that does not end is not held for ever', (t) => {
  const log = new ShownLog(FILE);
  t.is(log.next('x'.repeat(70_000)).length, 70_000);
  t.is(log.next('y') + log.end(), 'y');
});
