import test from 'ava';
import {
  ERRORS,
  type ErrorCode,
  isPlatformError,
  PlatformError,
  problemBody,
  toPlatformError,
  toProblem,
} from './errors.ts';

test('Every code has a problem body with its status', (t) => {
  for (const [code, { status, title }] of Object.entries(ERRORS)) {
    const problem = toProblem(new PlatformError(code as ErrorCode, 'What, where.'));
    t.like(problem, { status, title, code, detail: 'What, where.', error: 'What, where.' });
    t.deepEqual(problemBody.parse(JSON.parse(JSON.stringify(problem))), problem);
  }
});

test('Details stand in the problem body but never replace its members', (t) => {
  const error = new PlatformError('conflict', 'No.', {
    details: { by: 'x', status: 200, code: 'y', error: 'z' },
  });
  t.like(toProblem(error), { by: 'x', status: 409, code: 'conflict', error: 'No.' });
  t.is(toProblem(error, 'Error').Error, 'No.');
});

test('What is no error of the platform becomes one that leaks nothing', (t) => {
  const cause = new Error('the password is x');
  const error = toPlatformError(cause);
  t.like(error, { code: 'internal', status: 500, retry: true, cause });
  t.false(JSON.stringify(toProblem(error)).includes('password'));
  t.is(toPlatformError(error), error);
  t.true(isPlatformError(toPlatformError('text'), 'internal'));
});

test('Errors are told apart by code', (t) => {
  const error = new PlatformError('not_found', 'No.');
  t.true(isPlatformError(error));
  t.true(isPlatformError(error, 'conflict', 'not_found'));
  t.false(isPlatformError(error, 'conflict'));
  t.false(isPlatformError(new Error('No.')));
});
