const DIGEST = /^[0-9a-f]{64}$/;

/** True for a SHA-256 in lower-case hexadecimal: nothing else names a blob. */
export function isDigest(text: string | undefined): text is string {
  return text !== undefined && DIGEST.test(text);
}

/**
 * The names of the objects of a store: `sha256/<digest>` a blob; `stored/<digest>` an empty object as old as the last
 * put of a blob that was there before; `tmp/<random>` a blob whose digest is not known yet; `tmp/<random>.upload` a
 * record of an upload in parts, by which others can end it; `intent/<digest>/<name>` what a process is about to do.
 */
export interface Keys {
  readonly blobs: string;
  readonly marks: string;
  readonly staging: string;
  readonly intents: string;
  blob(digest: string): string;
  mark(digest: string): string;
  staged(name: string): string;
  record(name: string): string;
}

/** The {@link Keys} below a prefix, whose slashes at both ends do not count. */
export function keysBelow(prefix = ''): Keys {
  const trimmed = prefix.replaceAll(/^\/+|\/+$/g, '');
  const base = trimmed === '' ? '' : `${trimmed}/`;
  const [blobs, marks] = [`${base}sha256/`, `${base}stored/`];
  const [staging, intents] = [`${base}tmp/`, `${base}intent/`];
  return {
    ...{ blobs, marks, staging, intents },
    blob: (digest) => blobs + digest,
    mark: (digest) => marks + digest,
    staged: (name) => staging + name,
    record: (name) => `${staging}${name}.upload`,
  };
}
