import test from 'ava';
import { pictureOf } from './picture.ts';

const FAULTS = [
  { kind: 'worker killed', target: 'worker-0', at: 1000, mendedAt: 3000 },
  { kind: 'worker killed', target: 'worker-1', at: 5000, mendedAt: 6000 },
  { kind: 'a < b & "c"', target: 'nsqd', at: 2000, mendedAt: 2000 },
];
const SAMPLES = [
  { at: 0, done: 0, open: 3 },
  { at: 10_000, done: 7, open: 0 },
];

test('A picture has a bar for each fault, in the lane of its kind', (t) => {
  const picture = pictureOf({ title: 'a run', samples: SAMPLES, faults: FAULTS });
  t.is(picture.match(/<rect class="fault"/g)?.length, 3);
  t.regex(picture, />worker killed · 2</);
  t.regex(picture, />orders done: 7</);
});

test('What is written in it cannot end the document', (t) => {
  const picture = pictureOf({ title: '</svg><script>', samples: SAMPLES, faults: FAULTS });
  t.is(picture.match(/<\/svg>/g)?.length, 1);
  t.notRegex(picture, /<script/);
  t.regex(picture, /a &lt; b &amp; &quot;c&quot; · 1/);
});

test('A run in which nothing happened can be drawn', (t) => {
  t.regex(pictureOf({ title: 'nothing', samples: [{ at: 5, done: 0, open: 0 }], faults: [] }), /^<svg/);
  t.notRegex(pictureOf({ title: 'nothing', samples: [], faults: [] }), /NaN|Infinity/);
});
