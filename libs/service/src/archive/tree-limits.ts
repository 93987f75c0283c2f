/** The bounds of a folder tree that somebody else made: an archive's content, or what a container wrote. */
export interface TreeLimits {
  /** Of all files together, as their sizes say (a hole in a sparse file counts). */
  readonly bytes: number;
  /** Files and folders together. */
  readonly files: number;
  /** How many names a path may have: `a/b` has two. */
  readonly depth: number;
  /** Of one whole path, in UTF-8. */
  readonly pathBytes: number;
}

const NAME_BYTES = 255;
const ODD = /[\p{Cc}\\\uFFFD]/u;

/**
 * What is wrong with a relative path of names joined by `/`, as words that follow the path in a sentence; undefined
 * where it is a path that may be made, packed and sent anywhere: bounded, no `..`, no backslash, no control
 * character, and UTF-8 (what was not decodes to U+FFFD).
 */
export function pathProblem(
  path: string,
  limits: Pick<TreeLimits, 'depth' | 'pathBytes'>,
): string | undefined {
  if (path.startsWith('/')) return 'is an absolute path';
  const names = path.split('/');
  if (names.includes('..')) return 'leads out of its folder by ".."';
  if (names.some((name) => name === '' || name === '.')) return 'is not a plain path';
  if (ODD.test(path)) return 'has a control character, a backslash or bytes that are not UTF-8 in its name';
  if (names.length > limits.depth) return `lies deeper than ${limits.depth} folders`;
  if (Buffer.byteLength(path) > limits.pathBytes) return `has a path of more than ${limits.pathBytes} bytes`;
  if (names.some((name) => Buffer.byteLength(name) > NAME_BYTES))
    return `has a name of more than ${NAME_BYTES} bytes`;
  return undefined;
}

/** A path as it may be shown in a message: what is odd is escaped, and what is long is cut. */
export function shownPath(path: string): string {
  const text = JSON.stringify(path).slice(1, -1);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
