import { isAnswer } from '../client/errors.ts';

/** Why a program could not be started: the exit code of a shell for it, and a line for whoever wrote it. */
export interface StartFailure {
  readonly exitCode: 126 | 127;
  readonly line: string;
}

/**
 * What of an answer to "start this container" is the doing of the image: its program or its working folder. All else
 * (undefined) is the fault of the platform: no GPU, no room, no init, a broken daemon.
 */
export function startFailure(error: unknown, program: string): StartFailure | undefined {
  if (!isAnswer(error, 400, 404, 500)) return undefined;
  const { said } = error;
  if (/docker-init|device driver|nvidia|cgroup|no space left/i.test(said)) return undefined;
  const folder = /chdir to cwd \(\\?"([^"\\]*)/.exec(said)?.[1];
  if (folder !== undefined) {
    return { exitCode: 126, line: `Cannot start ${program}: the WORKDIR ${folder} may not be entered.\n` };
  }
  if (!/exec:|start(ing)? container process|mountpoint/i.test(said)) return undefined;
  const mount = /error mounting .* to rootfs at \\?"([^"\\]*)/.exec(said)?.[1];
  if (
    /not a directory|are you trying to mount|cannot be mounted because|file exists|symbolic links/i.test(said)
  ) {
    const where = mount === undefined ? 'a folder of data must be' : `the folder ${mount} must be`;
    return {
      exitCode: 126,
      line: `Cannot start ${program}: the image has a file or a link where ${where}.\n`,
    };
  }
  // A folder that is to be mounted is ours to provide.
  if (mount !== undefined) return undefined;
  if (/executable file not found|no such file or directory/i.test(said)) {
    return { exitCode: 127, line: `Cannot start ${program}: not found.\n` };
  }
  if (/permission denied|exec format error|is a directory/i.test(said)) {
    return { exitCode: 126, line: `Cannot start ${program}: not executable.\n` };
  }
  return undefined;
}
