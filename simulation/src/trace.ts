/** What happened in a world, line by line, for a person who looks for the fault. */
export interface Trace {
  /** Adds a line: who, and what. */
  say(who: string, what: string): void;
  /** The lines, oldest first, each with the seconds since the beginning. */
  lines(): readonly string[];
}

/** Starts a trace at this moment. */
export function openTrace(): Trace {
  const start = Date.now();
  const lines: string[] = [];
  return {
    say(who, what) {
      lines.push(`${((Date.now() - start) / 1000).toFixed(3).padStart(9)} ${who.padEnd(12)} ${what}`);
    },
    lines: () => lines,
  };
}
