import type { BytesOut } from '@morpheo/common';
import type { JobStore } from '../store/store.ts';

/** The types that files have by their names, as the original takes them; all others are bytes. */
const TYPES: Readonly<Record<string, string>> = {
  avi: 'video/x-msvideo',
  bmp: 'image/bmp',
  css: 'text/css',
  csv: 'text/csv',
  gif: 'image/gif',
  htm: 'text/html',
  html: 'text/html',
  jpeg: 'image/jpeg',
  jpg: 'image/jpeg',
  js: 'application/javascript',
  json: 'application/json',
  mp3: 'audio/mpeg',
  mp4: 'video/mp4',
  pdf: 'application/pdf',
  png: 'image/png',
  py: 'text/x-python',
  svg: 'image/svg+xml',
  tar: 'application/x-tar',
  tif: 'image/tiff',
  tiff: 'image/tiff',
  tsv: 'text/tab-separated-values',
  txt: 'text/plain',
  wav: 'audio/x-wav',
  xml: 'text/xml',
  zip: 'application/zip',
};

/** The answer that is a file of a bucket; undefined where it is not there. */
export async function fileAnswer(
  store: JobStore,
  job: string,
  { prefix, name }: { readonly prefix: string; readonly name: string },
): Promise<BytesOut | undefined> {
  const file = await store.read(job, `${prefix}${name}`);
  if (file === undefined) return undefined;
  const headers = { 'content-type': typeOf(name), 'content-length': String(file.size) };
  return { status: 200, headers, body: file.body };
}

/** An answer of JSON with a status of its own. */
export function jsonAnswer(status: number, value: unknown): BytesOut {
  const bytes = Buffer.from(JSON.stringify(value));
  const headers = {
    'content-type': 'application/json; charset=UTF-8',
    'content-length': String(bytes.byteLength),
    'cache-control': 'no-store',
  };
  return { status, headers, body: new Blob([bytes]).stream() };
}

function typeOf(name: string): string {
  const ending = /\.([^./]+)$/.exec(name)?.[1]?.toLowerCase() ?? '';
  return (Object.hasOwn(TYPES, ending) ? TYPES[ending] : undefined) ?? 'application/octet-stream';
}
