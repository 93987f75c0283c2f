import type { z } from 'zod';
import type { Secret } from './secret.ts';

/** One setting of a service: how it is given, what it may be, and what it means. */
export interface Setting<Schema extends z.ZodType = z.ZodType> {
  /** The flag without dashes, for instance `port`: `--port 80`, `--port=80` and `-port 80` are the same. */
  readonly flag: string;
  /** The environment variable. A flag wins over it. An empty value of either is as good as none. */
  readonly env: string;
  /** Turns the text that was given into the value. */
  readonly schema: Schema;
  /** The value where nothing is given. Without it the setting is required, unless the schema accepts `undefined`. */
  readonly default?: z.output<Schema>;
  /** One sentence for `--help`. */
  readonly help: string;
  /** A letter that means the same behind one dash: `-p 80`. With `h`, help is `--help` alone. */
  readonly short?: string;
  /** Further flags that mean the same, without dashes. */
  readonly aliases?: readonly string[];
  /** Wraps the value in a {@link Secret}, and accepts `…_FILE` and `--…-file`: the path of a file that holds it. */
  readonly secret?: boolean;
  /** The flag may stand without a value and then means `true`; the schema gets the text `true`. */
  readonly switch?: boolean;
  /** The flag may be given several times; the schema gets the texts joined by commas. */
  readonly list?: boolean;
}

/** The settings of a service, by the name that the program uses. */
export type Settings = Readonly<Record<string, Setting>>;

/** The values that {@link Settings} describe. */
export type SettingsOf<S extends Settings> = {
  readonly [Name in keyof S]: S[Name] extends { readonly secret: true }
    ? Wrapped<z.output<S[Name]['schema']>>
    : z.output<S[Name]['schema']>;
};

type Wrapped<T> = T extends undefined ? undefined : Secret<T>;

type DefaultsFit<S extends Settings> = {
  readonly [Name in keyof S]: { readonly default?: z.output<S[Name]['schema']> };
};

/** Declares settings; it only keeps the exact type, so that {@link SettingsOf} can be derived from it. */
export function defineSettings<const S extends Settings>(settings: S & DefaultsFit<S>): S {
  return settings;
}
