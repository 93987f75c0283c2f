import test from 'ava';
import { searchSpec } from './check.ts';

const float = { kind: 'float', low: 0, high: 1 };
const network = { kind: 'network', input_shape: [28, 28, 1], output_size: 10 };
const good = {
  space: { rate: float },
  strategy: { name: 'random' },
  seed: 1,
  objective: { goal: 'maximize' },
  budget: { trials: 1 },
};

/** What is said of a search that differs from a good one, each with its path. */
function saidOf(more: object): string[] {
  const { error } = searchSpec.safeParse({ ...good, ...more });
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
}

const space = (rate: object, others: object = {}) => ({ space: { rate, ...others } });

test('A search that says no more than it must gets aging evolution, and one rung', (t) => {
  const { strategy: _, ...short } = good;
  const { strategy, rungs, control } = searchSpec.parse(short);
  t.is(strategy.name, 'aging-evolution');
  t.deepEqual({ rungs, control }, { rungs: [1], control: false });
});

const contradictions: readonly (readonly [what: string, more: object, said: string])[] = [
  ['no parameter', { space: {} }, 'space: should name one parameter at least'],
  [
    'a range the wrong way round',
    space({ ...float, low: 2 }),
    'space.rate.low: should be at most "high": 2 is above 1',
  ],
  [
    'a logarithm of 0',
    space({ ...float, log: true }),
    'space.rate.low: should be above 0 on a logarithmic scale, and not 0',
  ],
  [
    'a step wider than the range',
    space({ ...float, step: 3 }),
    'space.rate.step: should fit between "low" and "high", which are 1 apart',
  ],
  [
    'a choice named twice',
    space({ kind: 'choice', choices: [1, 1] }),
    'space.rate.choices: should name each choice once',
  ],
  [
    'a condition on what is not there',
    space({ ...float, when: { name: ['a'] } }),
    'space.rate.when.name: should be the name of another parameter',
  ],
  [
    'a condition that never holds',
    space({ ...float, when: { flag: ['yes'] } }, { flag: { kind: 'bool' } }),
    'space.rate.when.flag: "yes" is no value of "flag"',
  ],
  [
    'a condition on itself',
    space({ ...float, when: { flag: [true] } }, { flag: { kind: 'bool', when: { rate: [1] } } }),
    'space.rate.when: depends on itself, by way of other parameters',
  ],
  [
    'more layers at least than at most',
    space({ ...network, min_layers: 9, max_layers: 2 }),
    'space.rate.min_layers: should be at most "max_layers": 9 is above 2',
  ],
  [
    'convolutions of flat rows',
    space({ ...network, input_shape: 784, layer_types: ['dense', 'conv2d'] }),
    'space.rate.layer_types: should have no conv2d: "input_shape" is flat, and not [width, height, channels]',
  ],
  [
    'kernels larger than the pictures',
    space({ ...network, layer_types: ['conv2d'], min_kernel: 30, max_kernel: 40 }),
    'space.rate.min_kernel: should be at most 28, the shorter side of a picture',
  ],
  [
    'poolings alone',
    space({ ...network, layer_types: ['max_pooling2d'] }),
    'space.rate.layer_types: should have more than poolings, which learn nothing',
  ],
  [
    'weights that no network is without',
    space({ ...network, max_parameters: 100, layer_types: ['dropout'] }),
    'space.rate.max_parameters: is too small: no network of these ranges has at most 100 weights',
  ],
  [
    'a range that no number is as long as',
    space({ ...float, low: -1e308, high: 1e308 }),
    'space.rate.high: should be closer to "low": from -1e+308 to 1e+308 is too far',
  ],
  [
    'a logarithm of such a range',
    space({ ...float, low: 1e-300, high: 1e300, log: true }),
    'space.rate.high: should be closer to "low": from 1e-300 to 1e+300 is too far',
  ],
  [
    'a name that each object has',
    space(float, { constructor: float }),
    'space: should not name a parameter as what each object of JavaScript has, such as constructor or toString',
  ],
  [
    'very many parameters',
    { space: Object.fromEntries(Array.from({ length: 201 }, (_, at) => [`x${at}`, float])) },
    'space: should have at most 200 parameters',
  ],
  ['no end', { budget: {} }, 'budget: should have trials, seconds or resource: the search has no end'],
  ['rungs that fall', { rungs: [3, 1] }, 'rungs.1: should be more than the rung before'],
  [
    'less than the first rung takes',
    { rungs: [4], budget: { resource: 3 } },
    'budget.resource: should be 4 at least: the first rung takes it',
  ],
  [
    'a sample of more than there are',
    { strategy: { name: 'aging-evolution', population: 4, sample: 5 } },
    'strategy.sample: should be at most the population it is drawn from',
  ],
  [
    'rungs for generations',
    { strategy: { name: 'dicebox' }, rungs: [1, 3] },
    'rungs: should be one: generations of dicebox are ranked as a whole',
  ],
  [
    'a grid without an end',
    { strategy: { name: 'grid' } },
    'space.rate: has no end of values for a grid: give it a "step", or the strategy "points"',
  ],
  [
    'a grid of networks',
    { ...space(network), strategy: { name: 'grid' } },
    'space.rate: is a network, which has too many values for a grid',
  ],
  [
    'a beginning outside the space',
    { start: [{ rate: 0.5 }, { rate: 2 }] },
    'start.1.rate: is no value of this parameter',
  ],
  [
    'a beginning with something else',
    { start: [{ rate: 1, size: 2 }] },
    'start.0.size: is no parameter of the space',
  ],
];

for (const [what, more, said] of contradictions) {
  test(`A search with ${what} is refused where that stands`, (t) => {
    t.deepEqual(saidOf(more).slice(0, 1), [said]);
  });
}
