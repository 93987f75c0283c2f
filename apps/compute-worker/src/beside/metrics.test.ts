import { appendFile, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MOST_METRICS } from '@morpheo/common';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import fc from 'fast-check';
import { livingTree } from '../files/living-tree.ts';
import type { LiveRun } from '../runtime/index.ts';
import { type MetricLine, MetricLines } from './metric-lines.ts';
import { METRICS_BYTES, MetricsTail } from './metrics.ts';

/** A run that writes to a folder, and what was sent and said of its metrics. */
async function followed(folder: string) {
  const over = new AbortController();
  const sent: [number, MetricLine][] = [];
  const said: string[] = [];
  const run: LiveRun = {
    read: () => livingTree(folder, 'metrics.jsonl'),
    over: over.signal,
    exitCode: undefined,
  };
  const tail = new MetricsTail({
    send: async (first, lines) =>
      void sent.push(...lines.map((line, index) => [first + index, line] as [number, MetricLine])),
    log: (line) => said.push(line),
    over: new AbortController().signal,
    everyMs: 5,
  });
  const following = tail.follow('/outputs/metrics.jsonl', run);
  return {
    sent,
    said,
    end: async () => {
      over.abort();
      await following;
    },
  };
}

test('Lines come in order, each once, while the program writes them, and the last though it does not end', async (t) => {
  await using box = await temporaryFolder();
  const path = join(box.path, 'metrics.jsonl');
  const { sent, said, end } = await followed(box.path);
  await writeFile(path, '{"loss":1}\n{"lo');
  await eventually(t, (t) => t.deepEqual(sent, [[0, { loss: 1 }]]));
  await appendFile(path, 'ss":2}\n\n');
  await eventually(t, (t) => t.is(sent.length, 2));
  await appendFile(path, '{"loss":3,"deep":{"a":[1]}}');
  await end();
  t.deepEqual(sent, [
    [0, { loss: 1 }],
    [1, { loss: 2 }],
    [2, { loss: 3, deep: { a: [1] } }],
  ]);
  t.deepEqual(said, []);
});

test('What is no metrics is left out and told once; what is no file is nothing', async (t) => {
  await using box = await temporaryFolder();
  const path = join(box.path, 'metrics.jsonl');
  await symlink('/etc/passwd', path);
  const linked = await followed(box.path);
  await linked.end();
  t.deepEqual(linked.sent, []);
  await rm(path);
  await mkdir(path);
  const folder = await followed(box.path);
  await folder.end();
  t.deepEqual(folder.sent, []);
  await rm(path, { recursive: true });
  const bad = [
    'no json',
    '[1]',
    '7',
    '"\\u0000"',
    `{"a":"${'x'.repeat(1_000_000)}"}`,
    '{"a":"\\u0000"}',
    '{"a":"\xff"}',
  ];
  await writeFile(path, Buffer.from([...bad, '{"good":1}', ''].join('\n'), 'latin1'));
  const { sent, said, end } = await followed(box.path);
  await end();
  t.deepEqual(sent, [[0, { good: 1 }]]);
  t.is(said.length, 1);
  t.regex(said[0] ?? '', /^metrics: 7 lines of the file are no JSON object of 4096 bytes/);
});

test('A program that writes without end is heard up to the bound, and told so', async (t) => {
  await using box = await temporaryFolder();
  const path = join(box.path, 'metrics.jsonl');
  await writeFile(path, '{"n":1}\n'.repeat(MOST_METRICS.lines + 5));
  const { sent, said, end } = await followed(box.path);
  await end();
  t.is(sent.length, MOST_METRICS.lines);
  t.deepEqual(
    sent.map(([seq]) => seq),
    Array.from(sent.keys()),
  );
  t.deepEqual(said, [
    `metrics: no more than ${MOST_METRICS.lines} lines and ${METRICS_BYTES} bytes are kept`,
  ]);
});

test('However the bytes are cut, the lines are the same', (t) => {
  const aLine = fc.oneof(
    fc.json().map((json) => json.replaceAll('\n', ' ')),
    fc.string().map((text) => text.replaceAll('\n', ' ')),
  );
  fc.assert(
    fc.property(fc.array(aLine), fc.array(fc.nat({ max: 20 })), (lines, cuts) => {
      const bytes = Buffer.from(lines.join('\n'));
      const whole = new MetricLines();
      const expected = [...whole.take(bytes), ...whole.end()];
      const cut = new MetricLines();
      const found: MetricLine[] = [];
      let at = 0;
      for (const length of cuts) {
        found.push(...cut.take(bytes.subarray(at, at + length)));
        at += length;
      }
      found.push(...cut.take(bytes.subarray(at)), ...cut.end());
      t.deepEqual(found, expected);
      t.is(cut.bad, whole.bad);
    }),
  );
});
