import { readFile } from 'node:fs/promises';
import test from 'ava';
import fc from 'fast-check';
import { ENDS, type End, failureOf, faultOf, OrderFailure } from './ends.ts';
import { FAILURES, failure } from './failure.ts';

const ALL = Object.keys(ENDS) as End[];
const anEnd = fc.constantFrom(...ALL);

test('Every reason has an end, and every end a reason and a hint of its own', (t) => {
  const reasons = new Set<string>(ALL.map((end) => ENDS[end].reason));
  t.deepEqual(
    Object.keys(FAILURES).filter((reason) => !reasons.has(reason)),
    [],
  );
  t.is(new Set(ALL.map((end) => ENDS[end].hint)).size, ALL.length);
  for (const end of ALL) t.regex(ENDS[end].hint, /^[A-Z].{20,}\.$/, end);
});

test('An end that is the platform’s tells nobody to change an order, and all others do not send to an operator first', (t) => {
  for (const end of ALL) {
    const { hint } = ENDS[end];
    if (faultOf(end) === 'platform') t.regex(hint, /ask the operator/, end);
    else t.notRegex(hint, /^Ask the operator/, end);
  }
  const odd = ALL.filter((end) => faultOf(end) !== FAILURES[ENDS[end].reason].fault);
  t.deepEqual(odd, ['worker_disk_full', 'docker_disk_full', 'storage_disk_full']);
});

test('A failure has the reason and the hint of its end, whatever was found', (t) => {
  const found = fc.record(
    { message: fc.string(), exit_code: fc.nat({ max: 255 }), limit: fc.string({ maxLength: 200 }) },
    { requiredKeys: ['message'] },
  );
  fc.assert(
    fc.property(anEnd, found, (end, what) => {
      const made = failureOf(end, what);
      const { reason, hint } = ENDS[end];
      t.deepEqual(failure.parse(made), { ...what, reason, hint });
      t.deepEqual(new OrderFailure(end, what).failure, made);
    }),
  );
});

test('The page for authors shows the table', async (t) => {
  const page = await readFile(new URL('../../../docs/writing-algorithms.md', import.meta.url), 'utf8');
  const [, table = ''] = /\n\| how it ended \|.*\n\|[-|]*\n((?:\|.*\n)*)/.exec(page) ?? [];
  const rows = ALL.map((end) => {
    const { reason, hint } = ENDS[end];
    const whose = faultOf(end) === 'order' ? 'yours' : 'the platform’s';
    return `| ${end.replaceAll('_', ' ')} | \`${reason}\` | ${whose} | ${hint} |\n`;
  });
  t.is(table, rows.join(''));
});
