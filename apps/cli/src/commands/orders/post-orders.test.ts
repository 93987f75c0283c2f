import { writeFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import type { BytesIn } from '@morpheo/common';
import test from 'ava';
import { morpheo } from '../../testing/morpheo.ts';
import { fakePlatform } from '../../testing/platform.ts';
import { temporaryFolder } from '../../testing/temporary-folder.ts';

/** Takes in each line but those that say "bad". */
const compute = {
  postOrders: async ({ body }: { body: BytesIn }) => {
    const lines = (await text(body.body)).trimEnd().split('\n');
    const answers = lines.map((line, n) =>
      line.includes('bad')
        ? { line: n + 1, status: 400, code: 'invalid_order', detail: 'it is \u001b[1mbad' }
        : { line: n + 1, status: 202, uuid: line },
    );
    const told = answers.map((answer) => `${JSON.stringify(answer)}\n`);
    return {
      status: 200,
      headers: { 'content-type': 'application/x-ndjson' },
      body: new Blob(told).stream(),
    };
  },
};

test('Orders of a file are posted, and those that are refused are told with their line', async (t) => {
  await using folder = await temporaryFolder();
  await using platform = await fakePlatform({ compute });
  const file = folder.file('orders.ndjson');
  await writeFile(file, 'one\ntwo bad\nthree\n');
  const { code, stdout } = await morpheo(['orders', 'post', file], { env: platform.env });
  t.is(code, 5);
  t.regex(stdout, /^line 2: invalid_order: it is .\[1mbad\n2 orders taken in, 1 refused\.\n$/);
  t.false(stdout.includes('\u001b'));
  const json = await morpheo(['orders', 'post', file, '--json'], { env: platform.env });
  const lines = json.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.like(lines[2], { line: 3, status: 202, uuid: 'three' });
  t.is(lines.length, 3);
});

test('A file that is not there is told', async (t) => {
  await using platform = await fakePlatform({ compute });
  const { code, stderr } = await morpheo(['orders', 'post', '/nowhere/orders'], { env: platform.env });
  t.is(code, 2);
  t.regex(stderr, /\/nowhere\/orders cannot be read/);
});
