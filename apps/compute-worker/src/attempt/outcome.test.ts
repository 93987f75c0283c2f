import { PlatformError } from '@morpheo/common';
import test from 'ava';
import type { AttemptEvents } from './events.ts';
import { reportOf } from './outcome.ts';

const events = { step: 'build', tail: () => [] } as unknown as AttemptEvents;
const signal = new AbortController().signal;

test('What the platform failed at is told without addresses and paths of its machines', (t) => {
  for (const [message, told] of [
    [
      'The Docker daemon at unix:///var/run/docker.sock does not answer.',
      'The Docker daemon at (an address) does not answer.',
    ],
    [
      'Nobody answers at https://storage.example:8443/data, nor at 10.0.0.7:4150.',
      'Nobody answers at (an address), nor at (an address).',
    ],
    ['The folder /srv/worker/work/1 is gone: see /var/log/x.', 'The folder (a path) is gone: see (a path).'],
    ['Storage answered 503 and/or nothing to the GET.', 'Storage answered 503 and/or nothing to the GET.'],
  ] as const) {
    const report = reportOf(new PlatformError('unavailable', message), signal, events);
    t.deepEqual(report, { outcome: 'error', failure: { reason: 'internal', message: told, step: 'build' } });
  }
});
