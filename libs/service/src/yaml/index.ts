import { readFileSync } from 'node:fs';
import { errnoOf, PlatformError } from '@morpheo/common';
import { z } from 'zod';
import type { Settings, SettingsFile } from '../config/index.ts';
import { type Misfit, readYaml } from './read.ts';

export { type Misfit, type ReadYaml, readYaml, type YamlText } from './read.ts';

/** Which part of a file of settings is whose. */
export interface SettingsFilePlan {
  /** The setting that names the file. */
  readonly setting: string;
  /** The file that is read where none is named, and it is there. */
  readonly usual?: string | undefined;
  /** The key under which the settings stand; at the top where absent. */
  readonly section?: string | undefined;
  /** Keys at the top that are sections of others. */
  readonly others?: readonly string[] | undefined;
}

const word = z.union([z.string(), z.number().transform(String), z.boolean().transform(String)]);
const words = z.array(word).transform((all) => all.join(','));
const pairs = z.record(z.string(), word).transform((all) =>
  Object.entries(all)
    .map(([key, value]) => `${key}=${value}`)
    .join(','),
);
const section = z.record(z.string(), z.union([word, words, pairs, z.null()]));

/**
 * A YAML file of settings: the keys are flags with `_` for `-`, a list and a map stand for what a flag has with commas, and
 * `<secret>_file` names the file of a secret. Its reader throws `invalid_request`, with the line, for what is no setting.
 */
export function yamlSettings(settings: Settings, plan: SettingsFilePlan): SettingsFile {
  return { setting: plan.setting, usual: plan.usual, read: (path) => readSettings(path, settings, plan) };
}

function readSettings(path: string, settings: Settings, plan: SettingsFilePlan): Map<string, string> {
  const schema = z.record(z.string(), z.unknown()).nullable();
  const { value, refuse } = readYaml({ text: textOf(path), file: path, schema });
  const given = (plan.section === undefined ? value : value?.[plan.section]) ?? {};
  const at = plan.section === undefined ? [] : [plan.section];
  const read = section.safeParse(plan.section === undefined ? without(given, plan.others ?? []) : given);
  if (!read.success) {
    throw refuse(read.error.issues.map(({ path: keys, message }) => ({ path: [...at, ...keys], message })));
  }
  const known = flagsOf(settings, plan.setting);
  const entries = Object.entries(read.data).map(([key, text]) => ({
    key,
    flag: key.replaceAll('_', '-'),
    text,
  }));
  const misfits = entries.flatMap(({ key, flag }): Misfit[] =>
    known.has(flag) ? [] : [{ path: [...at, key], message: 'there is no such setting' }],
  );
  if (misfits.length > 0) throw refuse(misfits);
  return new Map(entries.flatMap(({ flag, text }) => (text === null ? [] : [[flag, text]])));
}

/** What a file may say: all but which file it is. */
function flagsOf(settings: Settings, own: string): Set<string> {
  return new Set(
    Object.entries(settings).flatMap(([name, { flag, secret }]) =>
      name === own ? [] : secret === true ? [flag, `${flag}-file`] : [flag],
    ),
  );
}

function without(given: object, keys: readonly string[]): object {
  return Object.fromEntries(Object.entries(given).filter(([key]) => !keys.includes(key)));
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const why = errnoOf(cause) === 'ENOENT' ? 'there is no such file' : 'it cannot be read';
    throw new PlatformError('invalid_request', `The settings in ${path}: ${why}.`, { cause });
  }
}
