import { createHash } from 'node:crypto';
import type { BytesIn } from '@morpheo/common';

/** A part of a form: name and value; a Buffer or a text. */
export type FormPart = readonly [name: string, value: string | Buffer];

const BOUNDARY = 'a-boundary.of.tests';

/** The content type of {@link formBytes}. */
export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`;

/** A form (RFC 7578) of these parts, in their order. */
export function formBytes(parts: readonly FormPart[]): Buffer {
  const pieces = parts.flatMap(([name, value]) => [
    Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n`),
    Buffer.from(value),
    Buffer.from('\r\n'),
  ]);
  return Buffer.concat([...pieces, Buffer.from(`--${BOUNDARY}--\r\n`)]);
}

/** Bytes as the body of a request, in pieces of at most `pieceBytes`. */
export function bodyOf(bytes: Buffer | string, extra: Partial<BytesIn> = {}, pieceBytes = 1000): BytesIn {
  const all = Buffer.from(bytes);
  async function* pieces() {
    for (let at = 0; at < all.byteLength; at += pieceBytes) yield all.subarray(at, at + pieceBytes);
  }
  return { body: pieces(), contentLength: all.byteLength, ...extra };
}

/** A form as the body of a request. */
export function formOf(...parts: readonly FormPart[]): BytesIn {
  return bodyOf(formBytes(parts), { contentType: FORM_TYPE });
}

/** The SHA-256 of some bytes in lower-case hexadecimal. */
export function sha256(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** An id of tests: the same for the same number. */
export function id(number: number): string {
  return `00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`;
}

/** The texts in one order, whatever order they came in. */
export function sorted(texts: Iterable<string>): string[] {
  return [...texts].sort((a, b) => (a < b ? -1 : 1));
}
