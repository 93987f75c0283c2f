import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { openRunnersFixture } from './testing.ts';

test('A program that is started once answers one call after the other', async (t) => {
  await using fixture = await openRunnersFixture();
  const plan = await fixture.plan();
  const answer =
    "keeps.calls = (keeps.calls ?? 0) + 1; fs.writeFileSync(outputs + '/answer', String(keeps.calls))";
  const first = await fixture.call(answer, { plan });
  t.like(first, { value: '1', reused: 0 });
  t.true(first.ms.started > 0, 'it waited for the start');
  const second = await fixture.call(answer, { plan });
  t.like(second, { value: '2', reused: 1, runner: first.runner });
  t.is(second.ms.started, 0);
  await eventually(t, (t) =>
    t.like(fixture.runners.list(), [{ id: first.runner, state: 'idle', calls: 2, shown: { owner: 'ann' } }]),
  );
});
