import { type BytesIn, PlatformError, parseDigestField } from '@morpheo/common';
import type { StorageSettings } from '../config/settings.ts';
import type { FormFields } from './fields.ts';

/** What must hold of the bytes of an upload, as far as its sender or the operator asks for it. */
export interface ByteExpectations {
  readonly digest?: string | undefined;
  readonly size?: number | undefined;
}

/** Room for the parts of a form around its blob, when a whole body is weighed against the limit. */
const FORM_BYTES = 1024 * 1024;

/** What a raw body promises: its `Content-Length`, and its `Content-Digest` (RFC 9530). */
export function expectedOfBody({ contentLength, contentDigest }: BytesIn): ByteExpectations {
  if (contentDigest === undefined) return { size: contentLength };
  const digest = parseDigestField(contentDigest);
  if (digest !== null) return { size: contentLength, digest };
  throw new PlatformError(
    'invalid_upload',
    'The header Content-Digest has no SHA-256: give it as sha-256=:<base64>:, or leave the header out.',
  );
}

/** What a form promises: its `sha256` and, with that or where the operator asks for it, its `size`. */
export function expectedOfForm({ sha256, size }: FormFields, settings: StorageSettings): ByteExpectations {
  const compared = sha256 !== undefined || settings.strictSize;
  return { digest: sha256, size: compared && size !== undefined ? Number(size) : undefined };
}

/** How many bytes a form says that its blob has, as far as that can be: nobody has compared it. */
export function announcedBytes({ size }: FormFields, { contentLength }: BytesIn): number | undefined {
  if (size === undefined || size <= 0n) return undefined;
  return Math.min(Number(size), contentLength ?? Number.POSITIVE_INFINITY);
}

/** Throws `too_large` where the announced length alone is over the limit: before a byte of it is read. */
export function refuseOverLimit({ contentLength }: BytesIn, { maxUploadBytes }: StorageSettings): void {
  if (contentLength === undefined || contentLength <= maxUploadBytes + FORM_BYTES) return;
  throw new PlatformError(
    'too_large',
    `The upload is larger than the ${maxUploadBytes} bytes that are taken.`,
    {
      details: { limit: maxUploadBytes },
    },
  );
}
