import test from 'ava';
import { type Candidate, choose, refusal } from './adoption.ts';

const BETTER = { adopt: 'better', margin: 0 } as const;

function candidate(seq: number, accuracy: number, categories: readonly string[] = ['a', 'b']): Candidate {
  const size = { width: 4, height: 4, channels: 1 } as const;
  const trainer = { algo: 'a', labels: {} };
  return {
    training: `t${seq}`,
    ...trainer,
    output: `o${seq}`,
    digest: 'd',
    accuracy,
    categories,
    ...size,
    seq,
  };
}

test('The first network is used, whatever it is like', (t) => {
  t.is(refusal(candidate(1, 0.1), undefined, BETTER), undefined);
});

test('A newer network that is not worse on held-out pictures may replace the one in use', (t) => {
  const current = candidate(1, 0.8);
  t.is(refusal(candidate(2, 0.8), current, BETTER), undefined);
  t.is(refusal(candidate(2, 0.79), current, { ...BETTER, margin: 0.011 }), undefined);
  t.regex(
    refusal(candidate(2, 0.79), current, BETTER) ?? '',
    /its accuracy is 0.79, and that .* of training t1, 0.8$/,
  );
});

test('An older network may only where it is better', (t) => {
  const current = candidate(2, 0.8);
  t.truthy(refusal(candidate(1, 0.8), current, BETTER));
  t.is(refusal(candidate(1, 0.81), current, BETTER), undefined);
  t.regex(
    refusal(candidate(1, 0.9), current, { adopt: 'newest', margin: 0 }) ?? '',
    /older than that of training t2/,
  );
});

test('The newest rule does not look at accuracies', (t) => {
  t.is(refusal(candidate(2, 0.1), candidate(1, 0.8), { adopt: 'newest', margin: 0 }), undefined);
});

test('Other categories are refused by any rule, unless they are meant', (t) => {
  const [current, other] = [candidate(1, 0.8), candidate(2, 0.9, ['a', 'c'])];
  t.regex(refusal(other, current, BETTER) ?? '', /are a, c, and those of the network in use a, b/);
  t.truthy(refusal(other, current, { ...BETTER, wanted: true }));
  t.is(refusal(other, current, { ...BETTER, wanted: true, otherCategories: true }), undefined);
  t.is(refusal(candidate(2, 0.1), current, { ...BETTER, wanted: true }), undefined);
});

test('The most accurate is chosen, of the equally accurate the newest; by hand none is', (t) => {
  const all = [candidate(1, 0.9), candidate(2, 0.9), candidate(3, 0.5)];
  t.is(choose(all, BETTER)?.seq, 2);
  t.is(choose(all, { adopt: 'newest', margin: 0 })?.seq, 3);
  t.is(choose(all, { adopt: 'manual', margin: 0 }), undefined);
  t.is(choose([], BETTER), undefined);
});
