import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';

/** Canary secrets: they are nowhere else, and a test searches all output for them. By what they are for. */
export type Canaries = Readonly<Record<string, string>>;

/** A secret of its own for each name: long, random, and with characters that addresses and headers have to encode. */
export function drawCanaries<const Name extends string>(
  ...names: readonly Name[]
): Readonly<Record<Name, string>> {
  const drawn = names.map((name) => [name, `s3cr/t+${randomBytes(18).toString('hex')}=!`] as const);
  return Object.fromEntries(drawn) as Record<Name, string>;
}

/** What the searched places hold. */
export interface SearchedText {
  /** For the finder: a file, a route, a stream. */
  readonly name: string;
  readonly text: string;
}

/** Where secrets were found, a line each; the secret itself is not in it. */
export function findCanaries(canaries: Canaries, searched: Iterable<SearchedText>): string[] {
  const forms = Object.entries(canaries).flatMap(([name, secret]) =>
    formsOf(secret).map(([form, text]) => ({ form: `${name} (${form})`, text })),
  );
  const leaks = new Set<string>();
  for (const one of searched) {
    for (const { form, text } of forms) if (one.text.includes(text)) leaks.add(`${form} in ${one.name}`);
  }
  return [...leaks];
}

/** The ways in which a secret may come to be written. */
export function formsOf(secret: string): [form: string, text: string][] {
  const bytes = Buffer.from(secret);
  return [
    ['as it is', secret],
    ['encoded for an address', encodeURIComponent(secret)],
    ['its random part', /[0-9a-f]{20,}/.exec(secret)?.[0] ?? secret],
    ['hex', bytes.toString('hex')],
    ...base64Of(bytes).map((text): [string, string] => ['base64', text]),
    ...base64Of(bytes).map((text): [string, string] => [
      'base64url',
      text.replaceAll('+', '-').replaceAll('/', '_'),
    ]),
  ];
}

/** The characters that stand for the bytes alone, wherever in a longer text they begin. */
function base64Of(bytes: Buffer): string[] {
  return [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    const from = Math.ceil((before * 8) / 6);
    return text.slice(from, Math.floor(((before + bytes.length) * 8) / 6));
  });
}

/** Every file below a folder, as far as a process of ours can read it. */
export async function filesBelow(folder: string): Promise<SearchedText[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const read = async (path: string) => ({
    name: `the file ${relative(folder, path)}`,
    text: await readFile(path, 'latin1').catch(() => ''),
  });
  return await Promise.all(paths.map(read));
}
