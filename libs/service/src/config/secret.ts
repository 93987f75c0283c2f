import { inspect } from 'node:util';

/** A value that must not be shown: as text, as JSON, in a log or in an error it reads `[secret]`. */
export class Secret<T = string> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The value itself, for the one place that needs it. */
  reveal(): T {
    return this.#value;
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
