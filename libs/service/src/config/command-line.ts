import { Command, Option } from 'commander';
import { z } from 'zod';
import type { Setting, Settings } from './settings.ts';
import { duration, durationText, size, sizeText } from './units.ts';

/** What the command line says. */
export interface Flags {
  readonly help: boolean;
  readonly version: boolean;
  readonly check: boolean;
  /** The text that each flag was given, by the flag's name without dashes; `true` where it stands without a value. */
  readonly given: ReadonlyMap<string, string | true>;
  readonly problems: readonly string[];
}

const CHECK =
  'check the settings, reach everything that they name, say what is well and what is not, and end; nothing is changed';

/** The command whose help lists the settings. */
export function buildCommand(options: {
  readonly name: string;
  readonly description: string;
  readonly settings: Settings;
  readonly canCheck?: boolean;
}): Command {
  const command = new Command(options.name)
    .description(options.description)
    .usage('[settings]')
    .helpOption(hasShort(options.settings, 'h') ? '--help' : '-h, --help', 'show this text')
    .configureHelp({ helpWidth: 110, showGlobalOptions: false })
    .configureOutput({ getOutHasColors: () => false });
  for (const setting of Object.values(options.settings)) {
    command.addOption(describe(setting));
    for (const alias of setting.aliases ?? []) command.addOption(hidden(alias));
    if (setting.secret === true) command.addOption(hidden(`${setting.flag}-file`));
  }
  if (options.canCheck === true) command.addOption(new Option('--check', CHECK));
  return command.addOption(new Option('--version', 'show the version'));
}

/**
 * Reads flags; `-host x`, as the first Morpheo services had it, is `--host x`. Values are optional to the parser, so
 * that it goes on after a flag without one, and all problems come to light together.
 */
export function readFlags(command: Command, settings: Settings, argv: readonly string[]): Flags {
  const given = new Map<string, string | true>();
  const lists = new Set(Object.values(settings).flatMap(({ flag, list }) => (list === true ? [flag] : [])));
  for (const option of command.options) {
    const flag = option.long?.slice(2) ?? '';
    command.on(`option:${option.name()}`, (value: string | null | undefined) => {
      const before = lists.has(flag) ? given.get(flag) : undefined;
      given.set(flag, before === undefined || value == null ? (value ?? true) : `${before},${value}`);
    });
  }
  const letters = new Set(Object.values(settings).map(({ short }) => short));
  const words = argv.map((word) =>
    /^-[a-zA-Z]\d/.test(word) && letters.has(word[1]) ? word : withTwoDashes(word),
  );
  const { operands, unknown } = command.parseOptions(words);
  const help = unknown.some((argument) => argument === '--help' || argument === '-h');
  const hidden = behindSecrets(command, settings, words);
  const show = (word: string) => (hidden.has(word) ? HIDDEN : word);
  const problems = [
    ...operands.map((word) => refuseWord(show(word))),
    ...refuseUnknown(unknown, (word) => (hidden.has(word) ? HIDDEN : word.replace(/=.*/s, ''))),
  ];
  return {
    help,
    version: given.has('version'),
    check: given.has('check'),
    given: mergeAliases(settings, given),
    problems,
  };
}

function hasShort(settings: Settings, letter: string): boolean {
  return Object.values(settings).some(({ short }) => short === letter);
}

function withTwoDashes(argument: string): string {
  return /^-[a-zA-Z][\w-]/.test(argument) ? `-${argument}` : argument;
}

/** A password with a space in it, or a dash before it, is words of their own where nobody has quoted it. */
const HIDDEN = '(a word behind a secret, which may be part of it)';

/** The words that stand behind the flag of a secret, up to the next flag that is known. */
function behindSecrets(command: Command, settings: Settings, words: readonly string[]): ReadonlySet<string> {
  const known = new Set(command.options.map(({ long }) => long));
  const secrets = new Set(
    Object.values(settings).flatMap(({ secret, flag, aliases = [] }) =>
      secret === true ? [flag, ...aliases].map((name) => `--${name}`) : [],
    ),
  );
  const behind = new Set<string>();
  let isBehind = false;
  for (const word of words) {
    const name = word.replace(/=.*/s, '');
    if (known.has(name)) isBehind = secrets.has(name);
    else if (isBehind) behind.add(word);
  }
  return behind;
}

function refuseWord(word: string): string {
  return `${word}: stands alone and belongs to no flag; remove it.`;
}

/** One problem for each flag; a word behind a flag that is unknown is its value, and no problem of its own. */
function refuseUnknown(unknown: readonly string[], show: (word: string) => string): string[] {
  return unknown.flatMap((argument, index) => {
    if (argument.startsWith('-')) {
      return [`${show(argument)}: there is no such flag; correct its name or remove it.`];
    }
    return unknown[index - 1]?.startsWith('-') === true ? [] : [refuseWord(show(argument))];
  });
}

function mergeAliases(
  settings: Settings,
  given: ReadonlyMap<string, string | true>,
): Map<string, string | true> {
  const merged = new Map(given);
  for (const { flag, aliases = [] } of Object.values(settings)) {
    for (const alias of aliases) {
      const value = given.get(alias);
      if (value !== undefined && !merged.has(flag)) merged.set(flag, value);
    }
  }
  return merged;
}

function describe(setting: Setting): Option {
  const notes = [
    ...choices(setting),
    ...(setting.default === undefined ? [] : [`default: ${defaultText(setting)}`]),
    `env: ${setting.env}`,
    ...(setting.secret === true ? [`from a file: --${setting.flag}-file, ${setting.env}_FILE`] : []),
    ...(setting.list === true ? ['several: with commas, or the flag again'] : []),
    ...(setting.aliases ?? []).map((alias) => `also: --${alias}`),
  ];
  const value = setting.switch === true ? '[bool]' : '[value]';
  const short = setting.short === undefined ? '' : `-${setting.short}, `;
  return new Option(`${short}--${setting.flag} ${value}`, `${setting.help} (${notes.join('; ')})`);
}

function choices({ schema }: Setting): string[] {
  return schema instanceof z.ZodEnum ? [`one of: ${schema.options.join(', ')}`] : [];
}

/** As it would be given. */
function defaultText({ schema, default: value }: Setting): string {
  if (schema === duration && typeof value === 'number') return durationText(value);
  if (schema === size && typeof value === 'number') return sizeText(value);
  return JSON.stringify(value);
}

function hidden(flag: string): Option {
  return new Option(`--${flag} [value]`).hideHelp();
}
