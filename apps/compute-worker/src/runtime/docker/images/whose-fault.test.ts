import { OrderFailure, PlatformError } from '@morpheo/common';
import test from 'ava';
import { fullDiskOf } from '../../../files/disk-full.ts';
import { DaemonAnswer } from '../client/errors.ts';
import { daemonFailure } from './daemon-failure.ts';
import { demandSuccess } from './line-failure.ts';

const limits = { memoryBytes: 64e6, diskBytes: 5e6, outputBytes: 1e6 };

function endOf(error: unknown): string {
  if (error instanceof OrderFailure) return error.end;
  return error instanceof PlatformError ? error.code : 'none';
}

function endOfLine(printed: string, result: Partial<Parameters<typeof demandSuccess>[0]> = {}): string {
  try {
    const whole = { ended: 'exited', exitCode: 1, seconds: 1, ...result } as const;
    demandSuccess(whole, { line: 2, text: 'RUN x' }, limits, printed);
    return 'none';
  } catch (error) {
    return endOf(error);
  }
}

test('A RUN line that wants the network is told from one that fails by itself', (t) => {
  for (const printed of [
    'pip: NewConnectionError: Failed to establish a new connection: [Errno -3] Temporary failure in name resolution',
    "wget: bad address 'deb.debian.org'",
    'npm error code EAI_AGAIN',
    'WARNING: fetching https://dl-cdn/alpine: temporary error (try again later)',
    "W: Failed to fetch http://deb/InRelease  Temporary failure resolving 'deb.debian.org'",
    'fatal: unable to access: Could not resolve host: git.example.org',
  ])
    t.is(endOfLine(printed), 'build_without_network', printed);
  t.is(endOfLine('error: command gcc failed\nNo module named torch'), 'build_command_failed');
});

test('A RUN line that passes a limit ends for that limit', (t) => {
  t.is(endOfLine('', { ended: 'out_of_memory' }), 'build_out_of_memory');
  t.is(endOfLine('', { ended: 'disk_full' }), 'image_too_large');
  t.is(endOfLine('', { ended: 'output_limit' }), 'build_printed_too_much');
  t.is(endOfLine('', { killedBelowLimits: true }), 'unavailable');
  t.is(endOfLine('', { exitCode: 0 }), 'none');
});

test('What a daemon could not do is the platform’s, and what it says of a Dockerfile its author’s', (t) => {
  for (const [said, end] of [
    ['unable to apply cgroup configuration: mkdir /sys/fs/cgroup/x: no space left on device', 'unavailable'],
    ['failed to create shim task: runc create failed: error setting cgroup config', 'unavailable'],
    ['write /var/lib/docker/tmp/x: no space left on device', 'disk_full'],
    ['write /var/lib/containerd/x: no space left on device', 'disk_full'],
    ['COPY failed: file does not exist', 'copied_file_missing'],
    ['unable to find user nobody-at-all: no matching entries in passwd file', 'image_user_missing'],
    ['something new', 'dockerfile_wrong'],
  ] as const)
    t.is(endOf(daemonFailure(said, 3)), end, said);
});

test('Whatever a daemon is asked, that its disk is full is told as that', (t) => {
  const address = { kind: 'socket', path: '/x', text: 'unix:///x' } as const;
  const answer = (said: string) => new DaemonAnswer(500, said, 'create a container', address, undefined);
  t.is(fullDiskOf(answer('mkdir /var/lib/docker/overlay2/x: no space left on device')), 'docker');
  t.is(fullDiskOf(answer('mkdir /sys/fs/cgroup/docker/x: no space left on device')), undefined);
});
