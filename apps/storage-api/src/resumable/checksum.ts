import { createHash, type Hash } from 'node:crypto';
import { PlatformError } from '@morpheo/common';

/** The algorithms of `Upload-Checksum`; the protocol asks for SHA-1 at least (tus 1.0, "Checksum"). */
export const CHECKSUM_ALGORITHMS = ['sha1', 'sha256'] as const;

/** What the bytes of a chunk have to add up to. */
export interface Checksum {
  readonly hash: Hash;
  /** Throws `checksum_mismatch` where the bytes that `hash` was given are others. */
  check(): void;
}

/** Reads `Upload-Checksum`: an algorithm and a digest in Base64. Throws `invalid_request`. */
export function readChecksum(header: string | undefined): Checksum | undefined {
  if (header === undefined) return undefined;
  const [name, digest = ''] = header.split(' ');
  const algorithm = CHECKSUM_ALGORITHMS.find((one) => one === name);
  if (algorithm === undefined || !/^[\w+/]+=*$/.test(digest)) {
    throw new PlatformError(
      'invalid_request',
      `Upload-Checksum should be ${CHECKSUM_ALGORITHMS.join(' or ')}, a space, and the digest in Base64.`,
    );
  }
  const hash = createHash(algorithm);
  return {
    hash,
    check: () => {
      if (hash.digest('base64') === digest) return;
      throw new PlatformError(
        'checksum_mismatch',
        `The chunk does not have the ${algorithm} that came with it, and was thrown away: send it again.`,
      );
    },
  };
}
