import { OrderFailure } from '@morpheo/common';
import { randomFrom, sampleSize, withParts } from '@morpheo/real-parts';
import ava from 'ava';
import { planImage } from './plan/plan-image.ts';
import { parseDockerfile } from './syntax/parse.ts';
import { BASE, ours, type Reading, readByBuildKit } from './testing/buildkit.ts';
import { generateDockerfile } from './testing/generate.ts';

const test = withParts(ava, 'dockerfile-reader');

async function readByUs(text: string): Promise<Reading> {
  try {
    const baseConfig = async () => BASE;
    return ours(await planImage(parseDockerfile(text), { baseConfig, machine: 'x86_64' }));
  } catch (error) {
    if (error instanceof OrderFailure) return { error: error.message };
    throw error;
  }
}

test('What we take of generated Dockerfiles BuildKit takes too, and makes the same of it', async (t) => {
  const count = sampleSize('DOCKERFILES', { small: 100, full: 1000 });
  const seed = Number(process.env.SEED ?? 1);
  const random = randomFrom(seed);
  const texts = Array.from({ length: count }, () => generateDockerfile(random));
  const theirs = readByBuildKit(texts);
  t.is(theirs.length, count);
  let taken = 0;
  for (const [index, text] of texts.entries()) {
    const mine = await readByUs(text);
    if ('error' in mine) continue;
    taken += 1;
    t.deepEqual(mine, theirs[index], text);
  }
  t.log(`SEED=${seed}: ${taken} of ${count} were taken`);
  t.true(taken > count / 10, 'enough of them are taken for a comparison to say something');
});
