/** One part that a service needs, looked at from outside: nothing is changed by it, and nothing stays open. */
export interface Probe {
  /** Resolves with what was found, in a few words; rejects with what is wrong. */
  readonly ask: (signal: AbortSignal) => Promise<string>;
  /** What to do where it is wrong, in a sentence; absent where the error says so itself. */
  readonly remedy?: string;
}

/** The parts that a service needs, by name, in the order in which they are told. */
export type Probes = Readonly<Record<string, Probe>>;
