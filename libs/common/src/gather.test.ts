import test from 'ava';
import { gather, type Settled } from './async.ts';

const done = <T>(value: T): Settled<T> => ({ status: 'fulfilled', value });
const failed = (reason: unknown): Settled<never> => ({ status: 'rejected', reason });

/** Work that notes its rounds, each of which waits to be let through by `next`. */
function steps() {
  const rounds: (readonly string[])[] = [];
  const gates: (() => void)[] = [];
  const work = async (items: readonly string[]) => {
    rounds.push(items);
    const { promise, resolve } = Promise.withResolvers<void>();
    gates.push(resolve);
    await promise;
    return items.map((item) => done(item.toUpperCase()));
  };
  return { work, rounds, next: () => gates.shift()?.() };
}

const turn = () => new Promise(setImmediate);

test('What is asked for while a round is under way makes up the next one, in order', async (t) => {
  const { work, rounds, next } = steps();
  const ask = gather(work, { most: 100 });
  const first = ask('a');
  await turn();
  const others = [ask('b'), ask('c')];
  await turn();
  t.deepEqual(rounds, [['a']]);
  next();
  t.is(await first, 'A');
  await turn();
  t.deepEqual(rounds, [['a'], ['b', 'c']]);
  next();
  t.deepEqual(await Promise.all(others), ['B', 'C']);
});

test('What is asked for in one turn goes together, so many at a time', async (t) => {
  const rounds: (readonly number[])[] = [];
  const double = gather(
    async (items: readonly number[]) => {
      rounds.push(items);
      return items.map((item) => done(item * 2));
    },
    { most: 2 },
  );
  t.deepEqual(await Promise.all([1, 2, 3, 4, 5].map(double)), [2, 4, 6, 8, 10]);
  t.deepEqual(rounds, [[1, 2], [3, 4], [5]]);
});

test('As many rounds as are allowed run at once', async (t) => {
  const { work, rounds, next } = steps();
  const ask = gather(work, { most: 1, rounds: 2 });
  const answers = ['a', 'b', 'c'].map(ask);
  await turn();
  t.deepEqual(rounds, [['a'], ['b']]);
  next();
  await turn();
  t.deepEqual(rounds, [['a'], ['b'], ['c']]);
  next();
  next();
  t.deepEqual(await Promise.all(answers), ['A', 'B', 'C']);
});

test('The error of an item is its own', async (t) => {
  const odd = new Error('odd');
  const halve = gather(
    async (items: readonly number[]) => items.map((item) => (item % 2 === 0 ? done(item / 2) : failed(odd))),
    { most: 10 },
  );
  const answers = [2, 3, 4].map(halve);
  t.is(await answers[0], 1);
  t.is(await t.throwsAsync(async () => answers[1]), odd);
  t.is(await answers[2], 2);
});

test('A round that fails, or answers too little, fails all that are in it, and the next goes on', async (t) => {
  const broken = new Error('broken');
  const ask = gather(
    async (items: readonly string[]) => {
      if (items.includes('bad')) throw broken;
      return items.slice(0, 1).map(done);
    },
    { most: 2 },
  );
  const answers = ['good', 'bad', 'left', 'right', 'alone'].map((item) => ask(item).catch((error) => error));
  const [first, second, third, fourth, fifth] = await Promise.all(answers);
  t.is(first, broken);
  t.is(second, broken);
  t.regex(third.message, /2 items answered 1/);
  t.is(third, fourth);
  t.is(fifth, 'alone');
});
