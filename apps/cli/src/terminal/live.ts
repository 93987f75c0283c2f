import type { Terminal } from './terminal.ts';

/** Lines at the end of the output that are drawn anew, on a terminal. */
export interface LiveLines {
  /** Draws these in the place of those before. */
  show(lines: readonly string[]): Promise<void>;
}

/** Lines that are drawn anew whenever they change. To be used where the terminal is `interactive` alone. */
export function liveLines({ write }: Pick<Terminal, 'write'>): LiveLines {
  let drawn = 0;
  return {
    async show(lines) {
      // Up to where they began, and all below is wiped. They are cut where the terminal ends: a line that went on in the
      // next would be two to go up.
      const back = drawn === 0 ? '' : `\x1b[${drawn}A\x1b[0J`;
      drawn = lines.length;
      await write(`${back}\x1b[?7l${lines.map((line) => `${line}\n`).join('')}\x1b[?7h`);
    },
  };
}
