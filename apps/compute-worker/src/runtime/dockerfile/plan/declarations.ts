import { constants } from 'node:os';
import { posix } from 'node:path';
import { buildFailure, shown } from '../failure.ts';

/** Paths of an image at which no folder of its own can stand: what lies below the first of them, and the others themselves. */
const OF_THE_KERNEL = ['/proc', '/sys', '/dev'];
const OF_THE_SYSTEM = [
  '/',
  '/bin',
  '/boot',
  '/etc',
  '/lib',
  '/lib64',
  '/sbin',
  '/usr',
  '/usr/bin',
  '/usr/lib',
];
const PATH_BYTES = 1000;
const SIGNALS: ReadonlySet<string> = new Set(Object.keys(constants.signals).map((name) => name.slice(3)));

/** Whether a path is one at which nothing but what a container itself needs can stand. */
export function isOfTheMachine(path: string): boolean {
  return OF_THE_KERNEL.some((other) => `${path}/`.startsWith(`${other}/`)) || OF_THE_SYSTEM.includes(path);
}

/**
 * What an image says of itself is checked here, the same for the lines of a Dockerfile and for what its base image
 * says: a daemon finds out only when a container is made, and then it looks as if the platform had failed.
 */

/** The path of a VOLUME, normalised; `of` is the image that declares it, where that is not the Dockerfile. Throws `build_failed` where no volume can stand there. */
export function checkedVolume(written: string, line?: number, of?: string): string {
  const what = of === undefined ? 'VOLUME' : `VOLUME of ${of},`;
  const path = checkedPath(written, what, line);
  if (!posix.isAbsolute(path))
    throw buildFailure(`${what} ${shown(written)} must be an absolute path.`, line);
  const plain = path.length > 1 ? path.replace(/\/+$/, '') : path;
  if (isOfTheMachine(plain))
    throw buildFailure(
      `${what} ${shown(written)} would hide what a container needs there: name a folder of your own.`,
      line,
    );
  return plain;
}

/** A WORKDIR, below the one before it. Throws `build_failed` where it names none. */
export function checkedWorkingFolder(before: string | undefined, written: string, line?: number): string {
  if (written === '') throw buildFailure('WORKDIR names no folder: a variable in it may be empty.', line);
  const path = posix.resolve('/', before ?? '/', checkedPath(written, 'WORKDIR', line));
  if (OF_THE_KERNEL.some((other) => `${path}/`.startsWith(`${other}/`)))
    throw buildFailure(`WORKDIR ${shown(written)} is no folder of the image: name one of your own.`, line);
  return path;
}

/** Where a COPY line copies to. Throws `build_failed` where nothing can be copied there. */
export function checkedDestination(folder: string | undefined, written: string, line: number): string {
  if (written === '') throw buildFailure('COPY names no destination: a variable in it may be empty.', line);
  const path = posix.resolve('/', folder ?? '/', checkedPath(written, 'COPY', line));
  if (OF_THE_KERNEL.some((other) => `${path}/`.startsWith(`${other}/`)))
    throw buildFailure(`COPY to ${shown(written)} cannot be done: name a folder of your own.`, line);
  return path;
}

/** A USER, or the owner of a COPY line. Throws `build_failed` where it is no name, and no number of one. */
export function checkedUser(written: string, line?: number): string {
  const ids = written.split(':');
  const isPlain = /^[A-Za-z0-9_][\w.-]{0,63}(?::[A-Za-z0-9_][\w.-]{0,63})?$/.test(written);
  if (isPlain && ids.every((id) => !/^\d+$/.test(id) || Number(id) < 2 ** 31)) return written;
  throw buildFailure(
    `${shown(written) || 'USER'} is no user: write a name or a number, and a group behind a colon.`,
    line,
  );
}

/** Checks a STOPSIGNAL. Throws `build_failed` where there is no such signal. */
export function demandSignal(written: string, line?: number): void {
  const name = written.toUpperCase().replace(/^SIG/, '');
  const isNumber = /^\d{1,2}$/.test(name) && Number(name) >= 1 && Number(name) <= 64;
  if (isNumber || SIGNALS.has(name) || /^RTM(IN|IN\+\d{1,2}|AX|AX-\d{1,2})$/.test(name)) return;
  throw buildFailure(`STOPSIGNAL ${shown(written)} is no signal: write for instance SIGTERM.`, line);
}

/** Checks a port of EXPOSE, such as `80`, `80/udp` or `8000-8010`. Throws `build_failed`. */
export function demandPort(written: string, line?: number): void {
  const [, from, to = from] = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(?:tcp|udp|sctp))?$/i.exec(written) ?? [];
  if (from !== undefined && Number(from) >= 1 && Number(from) <= Number(to) && Number(to) <= 65_535) return;
  throw buildFailure(`EXPOSE ${shown(written)} is no port: write for instance 8080, or leave it out.`, line);
}

function checkedPath(written: string, what: string, line?: number): string {
  if (/\p{Cc}/u.test(written))
    throw buildFailure(`${what} ${shown(written)} has a control character in it.`, line);
  if (Buffer.byteLength(written) > PATH_BYTES)
    throw buildFailure(`${what} has a path of more than ${PATH_BYTES} bytes.`, line);
  if (what.startsWith('VOLUME') && written.includes(':'))
    throw buildFailure(
      `VOLUME ${shown(written)} has a colon in it, which no path of a volume may have.`,
      line,
    );
  return posix.normalize(written);
}
