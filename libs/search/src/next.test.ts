import test from 'ava';
import fc from 'fast-check';
import { bestOf } from './best.ts';
import { byUnits, canonicalJson } from './canonical.ts';
import { searchSpec } from './check.ts';
import { networkRanges } from './network/ranges.ts';
import { nextSteps } from './next.ts';
import type { SearchSpec, Trial } from './spec.ts';
import { type Objective, type Played, play } from './testing/play.ts';

const space = {
  rate: { kind: 'float', low: 0.001, high: 1, log: true },
  size: { kind: 'int', low: 1, high: 64 },
  kind: { kind: 'choice', choices: ['sgd', 'adam', { custom: [1, 2] }] },
  momentum: { kind: 'float', low: 0, high: 1, when: { kind: ['sgd'] } },
  network: {
    kind: 'network',
    ...networkRanges.parse({ input_shape: [12, 12, 1], output_size: 3, max_layers: 4 }),
  },
};
const small = { flag: { kind: 'bool' }, size: { kind: 'int', low: 1, high: 3 } };

function specOf(more: object): SearchSpec {
  return searchSpec.parse({
    space,
    seed: 7,
    objective: { goal: 'maximize' },
    budget: { trials: 24 },
    ...more,
  });
}

/** A value that depends on the parameters and on how long a trial ran; some trials fail. */
const uneven: Objective = (parameters, resource) => {
  const text = canonicalJson(parameters);
  const value = [...text].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) % 1009, 7);
  return value % 11 === 0 ? { failed: 'NaN loss' } : value / 1009 + Math.log(resource) / 10;
};

/** As texts, which are quick to compare. */
const parametersOf = ({ trials }: Played) =>
  trials.map(({ arm, parameters }) => `${arm} ${canonicalJson(parameters)}`);
const sorted = (played: Played) => parametersOf(played).toSorted(byUnits);
const strategies = [
  { name: 'aging-evolution', population: 6, sample: 3 },
  { name: 'random' },
  { name: 'dicebox', population: 6, generations: 4 },
] as const;

test('A search makes as many trials as its budget says, and then is done', (t) => {
  for (const strategy of [{ name: 'random' }, { name: 'aging-evolution' }]) {
    const { trials, end } = play(specOf({ strategy }), uneven, { parallel: 3 });
    t.is(trials.length, 24);
    t.true(trials.every(({ rungs }) => rungs.length === 1));
    t.is(end, 'all 24 trials were made');
  }
});

test('A search that was stopped after any step goes on as if nothing had been', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(...strategies),
      fc.integer({ min: 0, max: 40 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 0, max: 1000 }),
      (strategy, steps, parallel, seed) => {
        const rungs = strategy.name === 'dicebox' ? [9] : [1, 3, 9];
        const spec = specOf({ strategy, seed, rungs, budget: { trials: 16 } });
        const whole = play(spec, uneven, { parallel });
        const first = play(spec, uneven, { parallel, steps });
        // What a database keeps of it, and nothing else.
        const stored: Played = JSON.parse(JSON.stringify(first));
        const asked = nextSteps(spec, stored.trials, stored.running, parallel - stored.running.length);
        const expected = nextSteps(spec, first.trials, first.running, parallel - first.running.length);
        t.is(JSON.stringify(asked), JSON.stringify(expected));
        if (parallel > 1) return;
        t.deepEqual(parametersOf(play(spec, uneven, {}, stored)), parametersOf(whole));
      },
    ),
    { numRuns: 25 },
  );
});

test('Runs that are lost, whichever and however often, change none of the trials', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(...strategies),
      fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 4 }),
      (strategy, kills) => {
        const spec = specOf({ strategy, budget: { trials: 14 } });
        const whole = play(spec, uneven);
        let killed: Played = { trials: [], running: [], steps: [], end: undefined };
        for (const more of kills) {
          const played = play(spec, uneven, { steps: killed.steps.length + more }, killed);
          killed = { ...played, running: [] };
        }
        const { trials, end } = play(spec, uneven, {}, killed);
        t.is(JSON.stringify(trials), JSON.stringify(whole.trials));
        t.is(end, whole.end);
      },
    ),
    { numRuns: 20 },
  );
});

test('In whatever order trials end, random search and generations try the same', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom('random', 'dicebox'),
      fc.integer({ min: 1, max: 5 }),
      fc.string(),
      (name, parallel, order) => {
        const strategy = strategies.find((one) => one.name === name);
        const spec = specOf({ strategy, budget: { trials: 18 } });
        const one = play(spec, uneven);
        const other = play(spec, uneven, { parallel, order });
        t.deepEqual(sorted(other), sorted(one));
      },
    ),
    { numRuns: 20 },
  );
});

test('Steps that are asked for together are those that are asked for one by one', (t) => {
  fc.assert(
    fc.property(fc.constantFrom(...strategies), fc.integer({ min: 0, max: 30 }), (strategy, steps) => {
      const spec = specOf({ strategy, control: true });
      const { trials, running } = play(spec, uneven, { parallel: 2, steps });
      const three = nextSteps(spec, trials, running, 3);
      t.deepEqual(nextSteps(spec, trials, running, 1), three.slice(0, 1));
    }),
    { numRuns: 20 },
  );
});

test('Another seed makes other trials', (t) => {
  for (const strategy of strategies) {
    const [one, other] = [1, 2].map((seed) => parametersOf(play(specOf({ strategy, seed }), uneven)));
    t.notDeepEqual(one, other);
  }
});

test('Equal parameters are one trial of an arm, and a small space ends when all of it was tried', (t) => {
  for (const strategy of [{ name: 'random' }, { name: 'aging-evolution', population: 3, sample: 2 }]) {
    const spec = specOf({ space: small, strategy, control: true, budget: { trials: 100 } });
    const { trials, end } = play(spec, uneven, { parallel: 2 });
    for (const arm of ['main', 'control']) {
      const keys = trials
        .filter((trial) => trial.arm === arm)
        .map(({ parameters }) => canonicalJson(parameters));
      t.is(keys.length, 6);
      t.is(new Set(keys).size, 6);
    }
    t.regex(end ?? '', /^all was tried/);
  }
});

test('Generations of dicebox that breed a network again share its trial', (t) => {
  const spec = specOf({
    space: small,
    strategy: { name: 'dicebox', population: 4, generations: 10 },
    budget: {},
  });
  const { trials, end } = play(spec, uneven);
  t.true(trials.length <= 6, `${trials.length}`);
  t.is(end, 'all 10 generations were made');
});

test('A rung lets at most its share go on, the best first, and nobody who has failed', (t) => {
  const spec = specOf({ strategy: { name: 'random' }, rungs: [1, 3, 9], budget: { trials: 27 } });
  const { trials } = play(spec, uneven, { parallel: 4, order: 'mixed' });
  const at = (resource: number) =>
    trials.filter(({ rungs }) => rungs.some((rung) => rung.resource === resource));
  t.is(at(1).length, 27);
  t.true(at(3).length >= 7 && at(3).length <= 9 + 4, `${at(3).length}`);
  t.true(at(9).length >= 1 && at(9).length <= at(3).length / 2);
  const valueAt = (trial: Trial, resource: number) =>
    trial.rungs.find((rung) => rung.resource === resource)?.value;
  t.true(at(3).every((trial) => valueAt(trial, 1) !== undefined));
  const best = trials.toSorted((one, other) => (valueAt(other, 1) ?? -1) - (valueAt(one, 1) ?? -1))[0];
  t.true(best !== undefined && at(3).includes(best));
});

test('Of a search too small for its rungs the best runs to the end all the same', (t) => {
  const { trials } = play(specOf({ rungs: [1, 3, 9], budget: { trials: 4 } }), uneven, { parallel: 2 });
  t.true(trials.some(({ rungs }) => rungs.at(-1)?.resource === 9));
});

test('A trial that fails counts, and the search goes on', (t) => {
  const { trials, end } = play(specOf({}), (_, __, number) =>
    number % 2 === 0 ? { failed: 'NaN' } : number,
  );
  t.is(trials.length, 24);
  t.is(end, 'all 24 trials were made');
  t.is(bestOf(specOf({}), trials, 'main')?.value, 23);
});

test('A search of which every trial fails says so before long', (t) => {
  const { trials, end } = play(specOf({ budget: { seconds: 1e9 } }), () => ({ failed: 'no such file' }));
  t.is(trials.length, 50);
  t.is(end, 'none of 50 trials has a value: each has failed');
});

test('A search ends when a trial reaches its target, whichever way is better', (t) => {
  const up = play(specOf({ stop_at: 9 }), (_, __, number) => number);
  t.is(up.end, 'trial 9 has 9, and 9 was to be reached');
  const down = play(specOf({ stop_at: -5, objective: { goal: 'minimize' } }), (_, __, number) => -number);
  t.is(down.trials.length, 6);
});

test('Seconds and resource are given out once', (t) => {
  const seconds = play(specOf({ budget: { seconds: 10 } }), uneven);
  t.is(seconds.end, 'its trials have run for 10 s of 10 s');
  const resource = play(specOf({ budget: { resource: 20 }, rungs: [2, 6] }), uneven);
  const spent = resource.trials.flatMap(({ rungs }) => rungs).reduce((sum, rung) => sum + rung.resource, 0);
  t.true(spent <= 20 && spent > 14, `${spent}`);
});

test('A trial that goes on from what it left costs what is new alone', (t) => {
  const spec = { rungs: [2, 6], budget: { resource: 24 }, strategy: { name: 'random' } };
  const anew = play(specOf(spec), uneven);
  const onward = play(specOf({ ...spec, previous: '/start' }), uneven);
  t.true(onward.trials.length > anew.trials.length, `${onward.trials.length}, ${anew.trials.length}`);
});

test('A range of one value, and a choice of null, stay what they are from trial to trial', (t) => {
  const fixed = {
    rate: { kind: 'float', low: 0, high: 1 },
    share: { kind: 'float', low: 2, high: 2 },
    factor: { kind: 'float', low: 3, high: 3, log: true },
    size: { kind: 'int', low: 5, high: 5 },
    limit: { kind: 'choice', choices: [null] },
    other: { kind: 'choice', choices: [null, 1] },
  };
  for (const strategy of [
    { name: 'aging-evolution', population: 3, sample: 2 },
    { name: 'dicebox', population: 4 },
  ]) {
    const { trials } = play(specOf({ space: fixed, strategy }), uneven);
    t.is(trials.length, 24);
    for (const { parameters } of trials) {
      t.like(parameters, { share: 2, factor: 3, size: 5, limit: null });
    }
  }
});

test('Generations that have nothing new end a search, however many there may be', (t) => {
  const strategy = { name: 'dicebox', population: 3, generations: 100_000, retain: 1, mutate_chance: 0 };
  const { trials, end } = play(specOf({ space: small, strategy, budget: { trials: 100 } }), uneven);
  t.true(trials.length <= 3);
  t.is(end, 'all was tried: 100 more generations had nothing new');
});

test('The control arm draws at random with a budget of its own', (t) => {
  const spec = specOf({
    control: true,
    rungs: [1, 3],
    strategy: { name: 'aging-evolution', population: 4, sample: 2 },
  });
  const { trials } = play(spec, uneven, { parallel: 2 });
  const control = trials.filter(({ arm }) => arm === 'control');
  t.is(control.length, 24);
  const alone = play(specOf({ rungs: [1, 3], control: true, strategy: { name: 'random' } }), uneven);
  t.deepEqual(
    new Set(control.map(({ parameters }) => parameters)),
    new Set(alone.trials.filter(({ arm }) => arm === 'control').map(({ parameters }) => parameters)),
  );
});

test('A grid has each combination once, in the order of the names', (t) => {
  const spec = specOf({ space: small, strategy: { name: 'grid' }, budget: {} });
  const { trials, end } = play(spec, uneven);
  t.deepEqual(
    trials.map(({ parameters }) => parameters),
    [false, true].flatMap((flag) => [1, 2, 3].map((size) => ({ flag, size }))),
  );
  t.is(end, 'all 6 combinations were tried');
});

test('Given parameters are tried first', (t) => {
  const start = [{ flag: true, size: 3 }];
  for (const strategy of [{ name: 'random' }, { name: 'grid' }, { name: 'dicebox', population: 3 }]) {
    const { trials } = play(specOf({ space: small, strategy, start }), uneven, { steps: 2 });
    t.deepEqual(trials[0]?.parameters, { flag: true, size: 3 });
  }
});

test('Evolution finds better networks than chance, on the average of five seeds', (t) => {
  const reached = (name: string) =>
    [1, 2, 3, 4, 5].map((seed) => {
      const spec = specOf({ seed, strategy: { name }, budget: { trials: 100 } });
      const { trials } = play(
        spec,
        ({ rate, size }) => -Math.abs(Math.log10(Number(rate)) + 1.7) - Math.abs(Number(size) - 41) / 20,
      );
      return bestOf(spec, trials, 'main')?.value ?? Number.NEGATIVE_INFINITY;
    });
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [evolved, drawn] = [mean(reached('aging-evolution')), mean(reached('random'))];
  t.true(evolved > drawn, `${evolved} and ${drawn}`);
});
