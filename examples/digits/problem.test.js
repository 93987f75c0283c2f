import { mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { digitLine, PIXELS } from './problem/digits-file.js';
import { runContext, temporaryFolder, writeText } from './testing.js';

// A data file of digits with these labels; the n-th picture has ink of strength n in its first pixel.
function dataFile(labels) {
  return labels
    .map((label, index) => digitLine({ label, pixels: new Uint8Array(PIXELS).fill(index, 0, 1) }))
    .join('');
}

// Two test files and one of training, with predictions: 3 of 4 and 0 of 1 right, and 1 of 2.
async function writeSubmission(folder) {
  await writeText(join(folder, 'hidden/test/one'), dataFile([7, 1, 0, 9]));
  await writeText(join(folder, 'hidden/test/two'), dataFile([5]));
  await writeText(join(folder, 'data/test/pred/one'), '7\n1\n0\n4\n');
  await writeText(join(folder, 'data/test/pred/two'), '6\n');
  await writeText(join(folder, 'data/train/three'), dataFile([2, 3]));
  await writeText(join(folder, 'data/train/pred/three'), '2\n2');
}

function problem(folder, task) {
  const args = ['-T', task, '-i', join(folder, 'hidden'), '-s', join(folder, 'data')];
  return runContext('problem', args);
}

test('detarget keeps names, pictures and order, without labels', async (t) => {
  await using folder = await temporaryFolder();
  await writeText(join(folder.path, 'hidden/test/one'), dataFile([7, 1]));
  await writeText(join(folder.path, 'hidden/test/two'), dataFile([0]));
  await writeText(join(folder.path, 'hidden/test/pred/one'), 'not a data file');

  const { code } = await problem(folder.path, 'detarget');

  t.is(code, 0);
  t.deepEqual((await readdir(join(folder.path, 'data/test'))).sort(), ['one', 'two']);
  const written = await readFile(join(folder.path, 'data/test/one'), 'utf8');
  t.is(written, dataFile([undefined, undefined]));
  t.notRegex(written, /label/);
});

test('detarget names a bad line and does not quote it', async (t) => {
  await using folder = await temporaryFolder();
  await writeText(join(folder.path, 'hidden/test/one'), `${dataFile([7])}{"label":4,"secret":\n`);

  const { code, stderr } = await problem(folder.path, 'detarget');

  t.is(code, 1);
  t.regex(stderr, /^error: .*test\/one line 2 is not JSON\n$/);
});

test('detarget refuses labels and pictures of a wrong form', async (t) => {
  await using folder = await temporaryFolder();
  const picture = Buffer.alloc(PIXELS).toString('base64');
  const wrong = {
    [JSON.stringify({ label: 10, pixels: picture })]: /"label" is not an integer from 0 to 9/,
    [JSON.stringify({ label: 1, pixels: 'AAAA' })]: /"pixels" holds 3 bytes, not 784/,
    [JSON.stringify({ label: 1 })]: /has no text "pixels"/,
    null: /has no text "pixels"/,
    '': /holds no digits/,
  };
  for (const [line, message] of Object.entries(wrong)) {
    await writeText(join(folder.path, 'hidden/test/one'), line);
    const { code, stderr } = await problem(folder.path, 'detarget');
    t.is(code, 1, line);
    t.regex(stderr, message);
  }
});

test('perf is the accuracy over all test digits', async (t) => {
  await using folder = await temporaryFolder();
  await writeSubmission(folder.path);
  await mkdir(join(folder.path, 'hidden/test/pred'));

  const { code } = await problem(folder.path, 'perf');

  t.is(code, 0);
  const written = await readFile(join(folder.path, 'hidden/perf/performance.json'), 'utf8');
  t.deepEqual(JSON.parse(written), {
    perf: 3 / 5,
    train_perf: { three: 1 / 2 },
    test_perf: { one: 3 / 4, two: 0 },
  });
});

const WRONG_PREDICTIONS = [
  { title: 'too few', content: '7\n1\n0\n', message: /pred\/one holds 3 predictions for 4 digits/ },
  { title: 'too many', content: '7\n1\n0\n4\n4\n', message: /pred\/one holds 5 predictions for 4 digits/ },
  { title: 'no', content: '', message: /pred\/one holds 0 predictions for 4 digits/ },
  { title: 'above nine', content: '7\n1\n10\n4\n', message: /line 3: "10" is not an integer from 0 to 9/ },
  { title: 'fractional', content: '7\n1\n0\n4.5\n', message: /line 4: "4.5" is not an integer from 0 to 9/ },
  { title: 'blank', content: '7\n\n0\n4\n', message: /line 2: "" is not an integer from 0 to 9/ },
  { title: 'worded', content: '7\none\n0\n4\n', message: /line 2: "one" is not an integer from 0 to 9/ },
  { title: 'huge', content: '7'.repeat(2 ** 21), message: /2097152 bytes, far too many for 4 predictions/ },
];

for (const { title, content, message } of WRONG_PREDICTIONS) {
  test(`perf refuses ${title} predictions and writes nothing`, async (t) => {
    await using folder = await temporaryFolder();
    await writeSubmission(folder.path);
    await writeText(join(folder.path, 'data/test/pred/one'), content);

    const { code, stderr } = await problem(folder.path, 'perf');

    t.is(code, 1);
    t.regex(stderr, message);
    await t.throwsAsync(readdir(join(folder.path, 'hidden/perf')), { code: 'ENOENT' });
  });
}

test('perf refuses a data file without predictions', async (t) => {
  await using folder = await temporaryFolder();
  await writeSubmission(folder.path);
  await writeText(join(folder.path, 'data/train/four'), dataFile([1]));

  const { code, stderr } = await problem(folder.path, 'perf');

  t.is(code, 1);
  t.regex(stderr, /no predictions: cannot read .*train\/pred\/four: ENOENT/);
});

test('perf does not follow a link in place of predictions', async (t) => {
  await using folder = await temporaryFolder();
  await writeSubmission(folder.path);
  await writeText(join(folder.path, 'hidden/test/zero'), dataFile([6]));
  await symlink(join(folder.path, 'data/test/pred/two'), join(folder.path, 'data/test/pred/zero'));

  const { code, stderr } = await problem(folder.path, 'perf');

  t.is(code, 1);
  t.regex(stderr, /pred\/zero is not a regular file/);
});

test('the problem tells how it is used when arguments are wrong', async (t) => {
  for (const args of [[], ['-T', 'toString', '-i', 'a', '-s', 'b'], ['-T', 'perf', '-i', 'a'], ['--what']]) {
    const { code, stderr } = await runContext('problem', args);
    t.is(code, 1);
    t.regex(stderr, /usage: main\.js -T detarget\|perf -i <hidden data> -s <submission data>/);
  }
});
