import test from 'ava';
import * as z from 'zod';
import { type SearchSpec, searchShape } from './spec.ts';
import { play } from './testing/play.ts';

const space = {
  rate: { kind: 'float', low: 0.001, high: 1, log: true },
  layers: { kind: 'int', low: 1, high: 8 },
  name: { kind: 'choice', choices: ['a', 'b', 'c'] },
};

function specOf(more: object): SearchSpec {
  return z
    .object(searchShape)
    .parse({ space, seed: 1, objective: { goal: 'maximize' }, budget: { trials: 20 }, ...more });
}

test('A search makes as many trials as its budget says, and then is done', (t) => {
  for (const name of ['random', 'aging-evolution']) {
    const { trials, end } = play(specOf({ strategy: { name } }), ({ rate }) => Number(rate), { parallel: 3 });
    t.is(trials.length, 20);
    t.true(trials.every(({ rungs }) => rungs.length === 1));
    t.is(end, 'all 20 trials were made');
  }
});
