import test from 'ava';
import { fromPostgresError, lossOf } from './errors.ts';

test('A connection that was idle for too long does not count as a server that shuts down', (t) => {
  const text = 'terminating connection due to idle-session timeout';
  const error = Object.assign(new Error(text), { code: '57P05', severity: 'FATAL' });
  t.like(fromPostgresError(error, 'PostgreSQL at db:5432'), {
    code: 'unavailable',
    message: `PostgreSQL at db:5432 ends connections that nobody uses for a time; set idle_session_timeout = 0 for this user (${text}).`,
  });
  t.is(lossOf(error), 'connection');
});
