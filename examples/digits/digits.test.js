import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { ALGORITHMS, learnRank, runContext, runNode, temporaryFolder, writeText } from './testing.js';

const CONTEXTS = ['problem', ...ALGORITHMS.map((name) => `algos/${name}`)];
const SETS = ['test-1', 'test-2', 'predict-1', 'train-1', 'train-2', 'train-3'];

let data;

function path(name) {
  return join(data.path, name);
}

// The labels and pictures of a data set.
async function readSet(name) {
  const lines = (await readFile(path(name), 'utf8')).trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line));
}

// The first lines of a data set as a file of its own, for a quick training.
async function firstDigits(folder, name, count) {
  const lines = (await readFile(path(name), 'utf8')).split('\n', count);
  const short = join(folder, name);
  await writeText(short, `${lines.join('\n')}\n`);
  return short;
}

function firstLoss(log) {
  return Number(/loss (\S+)/.exec(log)[1]);
}

test.before(async () => {
  data = await temporaryFolder();
  const { code, stderr } = await runNode('make-data.js', [data.path]);
  if (code !== 0) throw new Error(stderr);
});

test.after.always(() => data?.[Symbol.asyncDispose]());

test('files that several contexts carry are the same in each', async (t) => {
  const read = (context, file) => readFile(join(import.meta.dirname, context, file), 'utf8');
  const shared = {
    'digits-file.js': CONTEXTS,
    Dockerfile: CONTEXTS,
    'main.js': CONTEXTS.slice(1),
    'descent.js': ['algos/softmax-regression', 'algos/small-network'],
    'random.js': ['algos/softmax-regression', 'algos/small-network'],
  };
  for (const [file, [first, ...others]] of Object.entries(shared)) {
    for (const other of others) t.is(await read(other, file), await read(first, file), `${other}/${file}`);
  }
});

test('no digit is in two data sets', async (t) => {
  const sets = await Promise.all(SETS.map(readSet));
  t.deepEqual(
    sets.map((digits) => digits.length),
    [1000, 1000, 5, 1500, 1500, 1500],
  );
  t.is(new Set(sets.flat().map(({ pixels }) => pixels)).size, 6505);
});

test('a test set holds each digit a hundred times', async (t) => {
  for (const name of ['test-1', 'test-2']) {
    const groups = Object.groupBy(await readSet(name), ({ label }) => label);
    t.deepEqual(
      Object.values(groups).map((digits) => digits.length),
      new Array(10).fill(100),
    );
  }
});

test('make-data writes the same bytes each time', async (t) => {
  await using again = await temporaryFolder();
  await runNode('make-data.js', [again.path]);
  for (const name of SETS) {
    t.true((await readFile(join(again.path, name))).equals(await readFile(path(name))), name);
  }
});

for (const algorithm of ALGORITHMS) {
  test(`${algorithm} carries on from the rank before`, async (t) => {
    await using work = await temporaryFolder();
    const sets = (number) => ({ train: [path(`train-${number}`)], test: [path('test-1')] });
    const first = await learnRank(work.path, algorithm, sets(1));
    const second = await learnRank(work.path, algorithm, sets(2));

    t.regex(first.log, /from nothing/);
    t.regex(second.log, /from a model that has seen 1500 digits/);
    t.is(JSON.parse(second.model).seen, 3000);
    t.true(second.performance.perf > first.performance.perf - 0.01);
  });

  test(`${algorithm} trains to the same model from the same data`, async (t) => {
    await using folder = await temporaryFolder();
    const sets = { train: [await firstDigits(folder.path, 'train-1', 200)], test: [path('predict-1')] };
    const first = await learnRank(join(folder.path, 'a'), algorithm, sets);
    const second = await learnRank(join(folder.path, 'b'), algorithm, sets);

    t.is(first.model, second.model);
    t.is(first.log, second.log);
    t.deepEqual(first.performance, second.performance);
  });

  test(`${algorithm} predicts alike with labels and without`, async (t) => {
    await using folder = await temporaryFolder();
    const work = join(folder.path, 'work');
    const train = [await firstDigits(folder.path, 'train-1', 200)];
    await learnRank(work, algorithm, { train, test: [path('predict-1')] });
    const predictions = join(work, 'data/test/pred/predict-1');
    const before = await readFile(predictions, 'utf8');
    t.regex(before, /^([0-9]\n){5}$/);

    await writeText(predictions, '');
    await writeText(join(work, 'data/test/predict-1'), await readFile(path('predict-1'), 'utf8'));
    const { code } = await runContext(`algos/${algorithm}`, ['-V', join(work, 'data'), '-T', 'predict']);

    t.is(code, 0);
    t.is(await readFile(predictions, 'utf8'), before);
  });
}

test('nearest-centroid learns the same in two ranks as in one', async (t) => {
  await using folder = await temporaryFolder();
  const [one, two] = [path('train-1'), path('train-2')];
  const learn = (work, train) =>
    learnRank(join(folder.path, work), 'nearest-centroid', { train, test: [path('predict-1')] });
  await learn('ranks', [one]);
  const ranks = await learn('ranks', [two]);
  const once = await learn('once', [one, two]);
  t.is(ranks.model, once.model);
});

for (const algorithm of ['softmax-regression', 'small-network']) {
  test(`${algorithm} starts a later rank with less loss`, async (t) => {
    await using work = await temporaryFolder();
    const test = [path('predict-1')];
    const first = await learnRank(work.path, algorithm, { train: [path('train-1')], test });
    const second = await learnRank(work.path, algorithm, { train: [path('train-2')], test });
    t.true(firstLoss(second.log) < firstLoss(first.log));
  });
}

test('after three ranks the network is best and above 0.92', async (t) => {
  await using folder = await temporaryFolder();
  const test = [path('test-1'), path('test-2')];
  const perfs = [];
  for (const algorithm of ALGORITHMS) {
    let performance;
    for (const train of [[path('train-1')], [path('train-2')], [path('train-3')]]) {
      ({ performance } = await learnRank(join(folder.path, algorithm), algorithm, { train, test }));
    }
    t.deepEqual(Object.keys(performance.test_perf), ['test-1', 'test-2']);
    t.deepEqual(Object.keys(performance.train_perf), ['train-3']);
    perfs.push(performance.perf);
  }
  const [centroid, softmax, network] = perfs;
  t.log(`nearest-centroid ${centroid}, softmax-regression ${softmax}, small-network ${network}`);
  t.true(centroid > 0.75);
  t.true(softmax > centroid + 0.05);
  t.true(network > softmax + 0.03);
  t.true(network > 0.92);
});

test('an algorithm refuses the model of another', async (t) => {
  await using work = await temporaryFolder();
  const sets = { train: [await firstDigits(work.path, 'train-1', 20)], test: [path('predict-1')] };
  await learnRank(work.path, 'nearest-centroid', sets);
  const args = ['-V', join(work.path, 'data'), '-T', 'train'];
  const { code, stderr } = await runContext('algos/small-network', args);
  t.is(code, 1);
  t.regex(stderr, /^error: .* is not a model of small-network, but of nearest-centroid\n$/);
});

test('an algorithm refuses weights of a wrong size', async (t) => {
  await using work = await temporaryFolder();
  const model = { algorithm: 'softmax-regression', seen: 1, weights: 'AAAAAA==' };
  await writeText(join(work.path, 'model/model_trained.json'), JSON.stringify(model));
  await writeText(join(work.path, 'test/predict-1'), await readFile(path('predict-1'), 'utf8'));
  const { code, stderr } = await runContext('algos/softmax-regression', ['-V', work.path, '-T', 'predict']);
  t.is(code, 1);
  t.regex(stderr, /^error: the model holds 4 bytes of weights where 31400 are needed\n$/);
});

test('an algorithm without a model refuses to predict', async (t) => {
  await using work = await temporaryFolder();
  await mkdir(join(work.path, 'test'));
  const { code, stderr } = await runContext('algos/small-network', ['-V', work.path, '-T', 'predict']);
  t.is(code, 1);
  t.regex(stderr, /^error: .*model_trained\.json is missing: train first\n$/);
});

test('an algorithm refuses training data without labels', async (t) => {
  await using work = await temporaryFolder();
  const [digit] = await readSet('train-1');
  const line = JSON.stringify({ pixels: digit.pixels });
  await writeText(join(work.path, 'train/one'), `${JSON.stringify(digit)}\n${line}\n`);
  await writeText(join(work.path, 'test/two'), `${line}\n`);
  const { code, stderr } = await runContext('algos/small-network', ['-V', work.path, '-T', 'train']);
  t.is(code, 1);
  t.is(stderr, 'error: training data one line 2 has no label to learn from\n');
});

test('an algorithm tells how it is used when arguments are wrong', async (t) => {
  for (const args of [[], ['-V', '/data'], ['-V', '/data', '-T', 'perf'], ['-x']]) {
    const { code, stderr } = await runContext('algos/small-network', args);
    t.is(code, 1);
    t.regex(stderr, /usage: main\.js -V <data folder> -T train\|predict/);
  }
});
