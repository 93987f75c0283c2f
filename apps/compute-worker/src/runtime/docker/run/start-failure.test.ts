import test from 'ava';
import { DaemonAnswer } from '../client/errors.ts';
import { startFailure } from './start-failure.ts';

function failure(status: number, said: string) {
  const address = { kind: 'socket', path: '/x', text: 'unix:///x' } as const;
  return startFailure(new DaemonAnswer(status, said, 'start a container', address, undefined), 'main');
}

test('What the image is to blame for ends as in a shell', (t) => {
  const runc = 'OCI runtime create failed: runc create failed: unable to start container process:';
  t.like(failure(400, `${runc} exec: "main": executable file not found in $PATH: unknown`), {
    exitCode: 127,
  });
  t.like(failure(400, `${runc} exec: "main": permission denied: unknown`), { exitCode: 126 });
  const folder = failure(
    500,
    `${runc} chdir to cwd ("/secret") set in config.json failed: permission denied`,
  );
  t.is(folder?.line, 'Cannot start main: the WORKDIR /secret may not be entered.\n');
  const file = failure(
    500,
    `${runc} error mounting "/x" to rootfs at "/data": not a directory: Are you trying to mount a directory onto a file: starting container process`,
  );
  t.is(file?.exitCode, 126);
});

test('What an image has where a mount must stand is its doing, and no path of the machine is shown', (t) => {
  const init =
    'failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init:';
  const rootfs = '/var/lib/docker/overlay2/dff2/merged';
  for (const [at, why] of [
    [
      '/tmp',
      'mount tmpfs:/tmp (via /proc/self/fd/6), flags: 0xe, data: size=5: not a directory: unknown: Are you trying to mount a directory onto a file',
    ],
    ['/data/out', `open o_path procfd: open ${rootfs}/data/out: not a directory: unknown`],
    ['/data/out', `"${rootfs}/proc" cannot be mounted because it is not of type proc: unknown`],
  ] as const) {
    const said = `${init} error mounting "/jobs/mount-1" to rootfs at "${at}": ${why}`;
    t.deepEqual(failure(400, said), {
      exitCode: 126,
      line: `Cannot start main: the image has a file or a link where the folder ${at} must be.\n`,
    });
  }
  const ours = `${init} error mounting "/jobs/mount-1" to rootfs at "/data/out": stat /jobs/mount-1: no such file or directory`;
  t.is(failure(400, ours), undefined);
});

test('What the machine is to blame for is not told of the image', (t) => {
  t.is(failure(500, 'could not select device driver "" with capabilities: [[gpu]]'), undefined);
  t.is(failure(400, 'exec: "docker-init": executable file not found in $PATH'), undefined);
  t.is(failure(500, 'starting container process: no space left on device'), undefined);
  t.is(startFailure(new Error('exec: not found'), 'main'), undefined);
});
