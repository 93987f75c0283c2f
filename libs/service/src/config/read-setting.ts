import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { Secret, type SecretFile, withoutCredentials } from './secret.ts';
import type { Setting } from './settings.ts';

type Env = Readonly<Record<string, string | undefined>>;
type Given = ReadonlyMap<string, string | true>;

/** Where settings are read, the first that says something wins: flags, variables, secrets of the container, a file. */
export interface Sources {
  readonly given: Given;
  readonly env: Env;
  readonly secretsFolder?: string | undefined;
  /** The texts of a file by their flags. */
  readonly file?: ReadonlyMap<string, string> | undefined;
}

/** The value of one setting, or what is wrong with it in one sentence. */
export type ReadSetting = { readonly value: unknown } | { readonly problem: string };

/** Finds what a setting was given, and turns it into its value. */
export function readSetting(setting: Setting, sources: Sources): ReadSetting {
  const names = `--${setting.flag} (${setting.env})`;
  const found = find(setting, sources);
  if ('problem' in found) return { problem: `${names}: ${found.problem}` };
  if (found.text === undefined && setting.default !== undefined)
    return { value: wrap(setting, setting.default) };

  const parsed = setting.schema.safeParse(found.text);
  if (parsed.success) return { value: wrap(setting, parsed.data, found.file) };
  if (found.text === undefined)
    return { problem: `${names}: is required; give one of the two. ${setting.help}` };
  const complaint = parsed.error.issues.map((issue) => issue.message).join('; ');
  // The value of a secret is not repeated, not even a wrong one.
  const got = setting.secret === true ? '' : `, got ${JSON.stringify(found.text)}`;
  return { problem: `${names}: ${withoutCredentials(`${complaint}${got}`)}. ${setting.help}` };
}

/** The file that a text came from. */
type Origin = Pick<SecretFile, 'setting' | 'path'>;
type Found = { readonly text: string | undefined; readonly file?: Origin } | { readonly problem: string };

function find(setting: Setting, { given, env, secretsFolder, file }: Sources): Found {
  const flag = textOfFlag(setting, given);
  if ('problem' in flag) return flag;
  const flagFile = setting.secret === true ? given.get(`${setting.flag}-file`) : undefined;
  if (flagFile === true) return { problem: `--${setting.flag}-file needs the path of a file.` };
  const fromFlags = choose(flag.text, flagFile, `--${setting.flag}`, `--${setting.flag}-file`);
  if ('problem' in fromFlags || fromFlags.text !== undefined) return fromFlags;
  const envFile = setting.secret === true ? env[`${setting.env}_FILE`] : undefined;
  const fromEnv = choose(env[setting.env], envFile, setting.env, `${setting.env}_FILE`);
  if ('problem' in fromEnv || fromEnv.text !== undefined) return fromEnv;
  const mounted =
    setting.secret === true && secretsFolder !== undefined
      ? join(secretsFolder, setting.env.toLowerCase())
      : undefined;
  if (mounted !== undefined && existsSync(mounted))
    return readSecretFile(mounted, 'A secret of this container');
  const { flag: key } = setting;
  return choose(file?.get(key), file?.get(`${key}-file`), `${key} in the file`, `${key}-file in the file`);
}

function textOfFlag(setting: Setting, given: Given): Found {
  const value = given.get(setting.flag);
  if (value !== true) return { text: value };
  if (setting.switch === true) return { text: 'true' };
  return { problem: `needs a value; write --${setting.flag}=VALUE where it begins with a dash.` };
}

function choose(
  text: string | undefined,
  file: string | undefined,
  textName: string,
  fileName: string,
): Found {
  const hasText = text !== undefined && text !== '';
  if (file === undefined || file === '') return { text: hasText ? text : undefined };
  if (hasText) return { problem: `${textName} and ${fileName} are both given; keep one of them.` };
  return readSecretFile(file, fileName);
}

function readSecretFile(path: string, name: string): Found {
  const file = { setting: name, path };
  try {
    const text = contentOf(readFileSync(path, 'utf8'));
    return text === '' ? { problem: emptyFile(file) } : { text, file };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { problem: `${name} names a file that cannot be read: ${reason}.` };
  }
}

/** A file's text without the newline that editors put at its end. */
function contentOf(text: string): string {
  return text.replace(/\r?\n$/, '');
}

function emptyFile({ setting, path }: Origin): string {
  return `${setting} names ${path}, which is empty.`;
}

function wrap(setting: Setting, value: unknown, file?: Origin): unknown {
  if (setting.secret !== true || value === undefined) return value;
  if (file === undefined) return new Secret(value);
  return new Secret(value, { ...file, parse: (text) => parseAgain(setting, text, file) });
}

/** The value of a secret whose file has changed. */
function parseAgain({ schema }: Setting, text: string, file: Origin): unknown {
  const content = contentOf(text);
  if (content === '') throw new PlatformError('invalid_request', emptyFile(file));
  const parsed = schema.safeParse(content);
  if (parsed.success) return parsed.data;
  const complaint = parsed.error.issues.map(({ message }) => message).join('; ');
  throw new PlatformError(
    'invalid_request',
    `${file.setting} names ${file.path}, which holds no good value: ${withoutCredentials(complaint)}.`,
  );
}
