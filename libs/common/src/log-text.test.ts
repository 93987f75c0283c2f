import test from 'ava';
import { LogText } from './log-text.ts';

test('The platform and another step begin on lines of their own; two outputs of a step do not', (t) => {
  const log = new LogText();
  const said = (step: string, stream: 'stdout' | 'stderr' | 'platform', text: string, attempt = 1) =>
    log.next({ attempt, step, stream, text });
  t.is(said('inputs', 'platform', 'inputs: 1 blob\n'), 'inputs: 1 blob\n');
  t.is(said('train', 'stdout', 'flushed '), 'flushed ');
  t.is(said('train', 'stderr', ''), '');
  t.is(said('train', 'stderr', 'at exit'), 'at exit');
  t.is(said('perf', 'stdout', 'measured'), '\nmeasured');
  t.is(said('results', 'platform', 'results: a model\n'), '\nresults: a model\n');
  t.is(said('train', 'stdout', 'again', 2), 'again');
});
