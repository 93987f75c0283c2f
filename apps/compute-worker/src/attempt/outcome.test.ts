import { ENDS, PlatformError } from '@morpheo/common';
import test from 'ava';
import { diskFull } from '../files/disk-full.ts';
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
    const { hint } = ENDS.platform_failed;
    const failure = { reason: 'internal', message: told, hint, step: 'build' };
    t.deepEqual(report, { outcome: 'error', failure });
  }
});

test('It is told whose disk was full', (t) => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  for (const [error, message, { hint }] of [
    [full, 'The disk of the worker has no room.', ENDS.worker_disk_full],
    [diskFull('docker', 'No room at /var/lib/docker.'), 'No room at (a path).', ENDS.docker_disk_full],
    [diskFull('storage', 'Storage has no room.'), 'Storage has no room.', ENDS.storage_disk_full],
  ] as const) {
    const failure = { reason: 'disk_full', message, hint, step: 'build' };
    t.deepEqual(reportOf(error, signal, events), { outcome: 'error', failure });
  }
});
