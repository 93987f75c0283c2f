import { inspect } from 'node:util';

/** The file that holds a secret, and how its text is read. */
export interface SecretFile<T = unknown> {
  /** The setting that names the file, such as `--password-file`. */
  readonly setting: string;
  readonly path: string;
  /** The value that a text of the file stands for; throws `invalid_request`, without the text, where it is no good. */
  readonly parse: (text: string) => T;
}

/**
 * A value that must not be shown: as text, as JSON, in a log or in an error it reads `[secret]`. One that came from a
 * file changes when it is renewed, so whoever uses it calls `reveal` each time.
 */
export class Secret<T = string> {
  #value: T;
  readonly #file: SecretFile<T> | undefined;
  readonly #listeners: (() => Promise<void>)[] = [];

  constructor(value: T, file?: SecretFile<T>) {
    this.#value = value;
    this.#file = file;
  }

  /** The value as it is now, for the one place that needs it. */
  reveal(): T {
    return this.#value;
  }

  /** Where it was read; undefined where it was given as it is. */
  get file(): SecretFile<T> | undefined {
    return this.#file;
  }

  /** Takes over what its file holds now. Rejects, and keeps its value, where that is no good. */
  async renew(text: string): Promise<void> {
    if (this.#file === undefined) return;
    const before = this.#value;
    this.#value = this.#file.parse(text);
    try {
      for (const listener of this.#listeners) await listener();
    } catch (error) {
      this.#value = before;
      throw error;
    }
  }

  /** Has `listener` called whenever the value was renewed, for what is made of it; it rejects where that fails. */
  onRenewed(listener: () => Promise<void>): void {
    this.#listeners.push(listener);
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}

/**
 * A text to be shown, with the credentials of addresses in it hidden: `http://[secret]@host` for
 * `http://name:password@host`. It hides too much rather than too little, where what is written is no address.
 */
export function withoutCredentials(text: string): string {
  return text.replace(/\/\/.*@/gs, '//[secret]@').replace(/[^\s"'/,[\]]+:[^\s"',]*@/g, '[secret]@');
}

/** Whether a text that should be an address has a name, or a password, in it. */
export function hasCredentials(text: string): boolean {
  return withoutCredentials(text) !== text;
}
