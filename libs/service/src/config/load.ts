import { existsSync } from 'node:fs';
import { isPlatformError, PlatformError } from '@morpheo/common';
import { buildCommand, readFlags } from './command-line.ts';
import { ownVariables, unknownVariables } from './environment.ts';
import { readSetting, type Sources } from './read-setting.ts';
import type { Settings, SettingsOf } from './settings.ts';

/** A file that says of settings what neither a flag, a variable nor a secret of the container says. */
export interface SettingsFile {
  /** The setting that names it, as the program calls it. */
  readonly setting: string;
  /** The file that is read where none is named, and it is there. */
  readonly usual?: string | undefined;
  /** The texts in it by their flags; of a secret, `<flag>-file` is the path of a file that holds it. Throws `invalid_request`. */
  readonly read: (path: string) => ReadonlyMap<string, string>;
}

/** What {@link loadSettings} is given. Nothing but `argv` and `env` is read (and the files that secrets name). */
export interface LoadSettings<S extends Settings> {
  /** The program's name, for help. */
  readonly name: string;
  /** What the program does, in one sentence, for help. */
  readonly description: string;
  readonly version: string;
  readonly settings: S;
  /**
   * Every variable that begins with this must be a known one, so that a misspelt one is found. Those that the command
   * line tool reads, and those that Kubernetes sets for its Services, are passed over.
   */
  readonly envPrefix?: string;
  /** What contradicts in the values, and what to do: one sentence each. Called when all are well formed. */
  readonly check?: (values: SettingsOf<S>) => readonly string[];
  readonly file?: SettingsFile | undefined;
  /**
   * The folder into which Docker and others put secrets for a container: a secret that nobody has given is the file there
   * that is called as its variable, in small letters, if there is one.
   */
  readonly secretsFolder?: string | undefined;
  /** Understand `--check`, and answer with what is to be checked instead of the settings to run with. */
  readonly canCheck?: boolean;
  /** The arguments after the program's name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Settings to run with, or the text that was asked for instead. */
export type Loaded<S extends Settings> =
  | { readonly kind: 'settings'; readonly values: SettingsOf<S> }
  /** `--check`: the settings where they are well, and what is wrong with them where they are not. */
  | {
      readonly kind: 'check';
      readonly values: SettingsOf<S> | undefined;
      readonly problems: readonly string[];
    }
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'version'; readonly text: string };

/**
 * Reads the settings of a program from its flags and its environment. Throws `invalid_request` that lists all problems
 * at once, each with the flag and the variable that it is about; `details.problems` has them one by one.
 */
export function loadSettings<const S extends Settings>(options: LoadSettings<S>): Loaded<S> {
  const command = buildCommand(options);
  const flags = readFlags(command, options.settings, options.argv);
  if (flags.help) return { kind: 'help', text: command.helpInformation() };
  if (flags.version) return { kind: 'version', text: options.version };

  const problems = [...flags.problems];
  const env = ownVariables(options.env);
  if (options.envPrefix !== undefined) {
    problems.push(...unknownVariables(options.settings, options.envPrefix, env));
  }
  const sources = sourcesOf(options, flags.given, env, problems);
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(options.settings)) {
    const read = readSetting(setting, sources);
    if ('problem' in read) problems.push(read.problem);
    else values[name] = read.value;
  }
  // Every name has been read by its own schema: the record has become what the declarations say.
  const complete = values as SettingsOf<S>;
  if (problems.length === 0) problems.push(...(options.check?.(complete) ?? []));
  if (flags.check) return { kind: 'check', values: problems.length === 0 ? complete : undefined, problems };
  if (problems.length > 0) throw refusal(options.name, problems);
  return { kind: 'settings', values: complete };
}

/** Where settings are read; a file of settings that is no good becomes a problem. */
function sourcesOf(
  { file, settings, secretsFolder }: Pick<LoadSettings<Settings>, 'file' | 'settings' | 'secretsFolder'>,
  given: Sources['given'],
  env: Sources['env'],
  problems: string[],
): Sources {
  const sources = { given, env, secretsFolder };
  const named = file && settings[file.setting];
  if (file === undefined || named === undefined) return sources;
  const { usual } = file;
  const flag = given.get(named.flag);
  const path =
    (typeof flag === 'string' ? flag : env[named.env]) ||
    (usual !== undefined && existsSync(usual) ? usual : undefined);
  if (path === undefined) return sources;
  try {
    return { ...sources, file: file.read(path) };
  } catch (error) {
    if (!isPlatformError(error, 'invalid_request')) throw error;
    problems.push(error.message);
    return sources;
  }
}

function refusal(name: string, problems: readonly string[]): PlatformError {
  const list =
    problems.length === 1 ? ` ${problems[0]}` : problems.map((problem) => `\n  - ${problem}`).join('');
  const count =
    problems.length === 1 ? 'The settings have a problem:' : `The settings have ${problems.length} problems:`;
  return new PlatformError('invalid_request', `${count}${list}\nSee ${name} --help.`, {
    details: { problems },
  });
}

/**
 * The settings to run with; undefined where a text was asked for instead (help, the version), which is then printed.
 * For a program with `canCheck` see `settingsOrCheck` of `../check`.
 */
export function settingsOrPrint<S extends Settings>(
  loaded: Loaded<S>,
  output: { write(text: string): unknown } = process.stdout,
): SettingsOf<S> | undefined {
  if (loaded.kind === 'settings') return loaded.values;
  if (loaded.kind === 'check') throw new TypeError('This program does not know how to check itself.');
  output.write(`${loaded.text}\n`);
  return undefined;
}
