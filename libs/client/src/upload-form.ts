import type { BytesIn } from '@morpheo/common';

/** A form to upload: text fields in the order in which they are given, then the bytes. */
export interface UploadForm {
  readonly fields: Readonly<Record<string, string>>;
  /** A file opened with `openAsBlob` (Node) or chosen in a form (browser); it is never read whole. */
  readonly blob: Blob;
  /**
   * Told as the bytes leave, of the whole request. Where it is given the bytes are sent as a stream, which browsers
   * allow over HTTP/2 alone.
   */
  readonly onProgress?: ((sentBytes: number, totalBytes: number) => void) | undefined;
}

/**
 * A multipart body (RFC 7578) as storage reads it: the fields in order, then the part `blob`, last. Its length is
 * known beforehand, so it goes with a `Content-Length`, and nothing but the piece that is being sent is in memory.
 */
export function uploadForm({ fields, blob, onProgress }: UploadForm): BytesIn {
  const boundary = `morpheo-${crypto.randomUUID()}`;
  const texts = Object.entries(fields).map(
    ([name, value]) => `${opening(boundary, name)}\r\n\r\n${value}\r\n`,
  );
  const head = `${texts.join('')}${opening(boundary, 'blob')}; filename="blob"\r\nContent-Type: application/octet-stream\r\n\r\n`;
  // A Blob of blobs refers to its parts: the file is read when it is sent.
  const form = new Blob([head, blob, `\r\n--${boundary}--\r\n`]);
  const described = { contentType: `multipart/form-data; boundary=${boundary}`, contentLength: form.size };
  if (onProgress === undefined) return { ...described, blob: form, body: read(form) };
  return { ...described, body: read(form, (sent) => onProgress(sent, form.size)) };
}

function opening(boundary: string, name: string): string {
  return `--${boundary}\r\nContent-Disposition: form-data; name="${escapeName(name)}"`;
}

/** As browsers write names (HTML, "multipart/form-data encoding algorithm"). */
function escapeName(name: string): string {
  return name.replaceAll('\r', '%0D').replaceAll('\n', '%0A').replaceAll('"', '%22');
}

async function* read(
  blob: Blob,
  onSent?: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = blob.stream().getReader();
  let sent = 0;
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      yield next.value;
      sent += next.value.length;
      onSent?.(sent);
    }
  } finally {
    await reader.cancel();
  }
}
