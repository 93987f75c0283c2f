import { readFile } from 'node:fs/promises';
import { getAsset, isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';
import { type BytesOut, type PictureSetKey, PlatformError } from '@morpheo/common';

/** The page to draw on, which a browser loads from this service alone. */
export interface Page {
  document(): BytesOut;
  /** A file that it loads. Throws `not_found`. */
  file(name: string): BytesOut;
}

/** The set of the original's own pictures, by name; of the size that most have who try this. */
const USUAL: PictureSetKey = { name: 'dicebox', width: 28, height: 28 };

const TYPES: Readonly<Record<string, string>> = {
  'page.css': 'text/css; charset=utf-8',
  'main.js': 'text/javascript; charset=utf-8',
  'drawing.js': 'text/javascript; charset=utf-8',
  'service.js': 'text/javascript; charset=utf-8',
};

/**
 * Reads the page. It knows where the sensory service is and nothing secret: who uses it types the key, and its browser keeps
 * that for the tab.
 */
export async function openPage(about: {
  /** Where browsers reach the sensory service; undefined: where the page is. */
  readonly sensory?: string | undefined;
  /** What `API-VERSION` is. */
  readonly version: string;
  /** The set that pictures are stored in, where nothing else is typed. */
  readonly set?: PictureSetKey | undefined;
}): Promise<Page> {
  const { sensory = '', version, set = USUAL } = about;
  const { name, width, height } = set;
  const values: Readonly<Record<string, string | number>> = { sensory, version, name, width, height };
  const source = (await readPackaged('index.html')).toString();
  const html = source.replaceAll(/\{\{(\w+)\}\}/g, (_, value: string) =>
    escaped(String(values[value] ?? '')),
  );
  const files = new Map<string, Buffer>();
  for (const name of Object.keys(TYPES)) files.set(name, await readPackaged(name));
  const headers = { 'content-security-policy': policy(sensory), 'referrer-policy': 'no-referrer' };
  return {
    document: () => answerOf(Buffer.from(html), 'text/html; charset=utf-8', headers),
    file(name) {
      const found = files.get(name);
      if (found === undefined) throw new PlatformError('not_found', `The page has no file ${name}.`);
      return answerOf(found, TYPES[name] ?? '', {});
    },
  };
}

/** Beside a module; from within where the program is an executable of one file. */
async function readPackaged(name: string): Promise<Buffer> {
  if (isSea()) return Buffer.from(getAsset(`dicebox/${name}`));
  return await readFile(fileURLToPath(new URL(`page/${name}`, import.meta.url)));
}

/** Scripts and styles of this service alone, none inline, and calls to it and to the sensory service. */
function policy(sensory: string): string {
  const others = sensory === '' ? '' : ` ${new URL(sensory).origin}`;
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    'img-src data:',
    `connect-src 'self'${others}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

function answerOf(bytes: Buffer, type: string, headers: Readonly<Record<string, string>>): BytesOut {
  return {
    status: 200,
    headers: {
      'content-type': type,
      'content-length': String(bytes.length),
      'cache-control': 'no-cache',
      'x-content-type-options': 'nosniff',
      ...headers,
    },
    body: new Blob([new Uint8Array(bytes)]).stream(),
  };
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
}
