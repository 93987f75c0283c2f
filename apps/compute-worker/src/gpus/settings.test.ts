import test from 'ava';
import { gpuChoice } from './settings.ts';

test('GPUs are chosen by a word or by their names', (t) => {
  t.is(gpuChoice.parse('auto'), 'auto');
  t.is(gpuChoice.parse('all'), 'all');
  t.is(gpuChoice.parse('none'), 'none');
  t.deepEqual(gpuChoice.parse('0, 1,0'), ['0', '1']);
  t.deepEqual(gpuChoice.parse('GPU-5c2f9b1e-7d7c,3'), ['GPU-5c2f9b1e-7d7c', '3']);
});

for (const text of ['', 'both', '0,', '-1', '1.5', 'GPU-a b', 'none,1', 'nvidia.com/gpu=0']) {
  test(`"${text}" chooses nothing`, (t) => {
    t.false(gpuChoice.safeParse(text).success);
  });
}
