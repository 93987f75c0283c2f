import test from 'ava';
import { FolderPlan, placeName, prefixProblem } from './places.ts';
import { LIMITS } from './testing.ts';

function plan(limits = LIMITS) {
  return new FolderPlan(limits, (path) => placeName({ connection: 'lab', prefix: 'a' }, path));
}

test('Keys that are no plain paths are refused by name [P7]', (t) => {
  for (const [path, problem] of [
    ['../x', 'leads out of its folder by ".."'],
    ['a/../../x', 'leads out of its folder by ".."'],
    ['a//b', 'is not a plain path'],
    ['./a', 'is not a plain path'],
    ['/etc/passwd', 'is an absolute path'],
    ['full/', 'is not a plain path'],
    ['a\u0000b', 'has a control character, a backslash or bytes that are not UTF-8 in its name'],
    ['a\nb', 'has a control character, a backslash or bytes that are not UTF-8 in its name'],
    ['a\\b', 'has a control character, a backslash or bytes that are not UTF-8 in its name'],
    ['x'.repeat(1024), 'has a name of more than 255 bytes'],
    [`${'x/'.repeat(100)}x`, 'lies deeper than 64 folders'],
  ] as const) {
    const shown = JSON.stringify(`bucket:lab/a/${path}`).slice(1, -1);
    const message = `The object ${shown.length > 200 ? `${shown.slice(0, 200)}…` : shown} ${problem}.`;
    t.throws(() => plan().addFile(path, 1), { message });
  }
  t.notThrows(() => plan().addFile(`${`${'x'.repeat(200)}/`.repeat(5)}x`, 1));
});

test('A file and a folder of one name are refused, whichever comes first [P7]', (t) => {
  const both = { message: 'The object bucket:lab/a/x is a file and a folder at once.' };
  for (const add of [
    (to: FolderPlan) => [to.addFile('x', 1), to.addFile('x/y/z', 1)],
    (to: FolderPlan) => [to.addFile('x/y/z', 1), to.addFile('x', 1)],
    (to: FolderPlan) => [to.addFolder('x'), to.addFile('x', 1)],
    (to: FolderPlan) => [to.addFile('x', 1), to.addFolder('x')],
  ])
    t.throws(() => add(plan()), both);
  const twice = plan();
  twice.addFile('x', 1);
  t.throws(() => twice.addFile('x', 1), { message: 'The object bucket:lab/a/x is there twice.' });
});

test('The folders of all files are made, those above first [P4]', (t) => {
  const all = plan();
  for (const path of ['a/b/c', 'a/d', 'e']) all.addFile(path, 1);
  all.addFolder('f/g');
  t.deepEqual(all.folders(), ['a', 'a/b', 'f', 'f/g']);
});

test('Folders count as files do [P5]', (t) => {
  const few = plan({ ...LIMITS, files: 3 });
  const over = { message: 'bucket:lab/a has more than 3 folders, the limit of the order.' };
  t.throws(() => few.addFile('a/b/c/d/e', 1), over);
});

test('A prefix is a plain path, or nothing at all', (t) => {
  for (const prefix of ['', 'a', 'a/b/']) t.is(prefixProblem(prefix), undefined, prefix);
  for (const prefix of ['/', '/a', 'a//', 'a/../b', '..', 'a\tb'])
    t.not(prefixProblem(prefix), undefined, prefix);
});
