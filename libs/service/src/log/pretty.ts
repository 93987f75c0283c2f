import { styleText } from 'node:util';

/** Where lines go: standard output, a file, or a collection in a test. A line ends with a newline. */
export interface LineWriter {
  write(line: string): unknown;
}

const COLOURS = { debug: 'gray', info: 'green', warn: 'yellow', error: 'red' } as const;

/** Turns the lines of JSON that it is given into text for a person, and writes that. */
export function prettyWriter(destination: LineWriter): LineWriter {
  return { write: (line) => destination.write(prettyLine(line)) };
}

function prettyLine(line: string): string {
  const { time, level, service, message, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const label = String(level);
  const colour = COLOURS[label as keyof typeof COLOURS] ?? 'white';
  const errors: string[] = [];
  const words = Object.entries(fields).map(([name, value]) => {
    const stack = stackOf(value);
    if (stack !== undefined) errors.push(stack);
    return stack === undefined ? `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}` : '';
  });
  const head = [String(time).slice(11, 23), styleText(colour, label.padEnd(5)), service, message, ...words];
  return `${[head.filter((word) => word !== '').join(' '), ...errors].join('\n')}\n`;
}

/** The stacks of an error and of its causes, as it was written into the log. */
function stackOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('stack' in value)) return undefined;
  const cause = 'cause' in value ? stackOf(value.cause) : undefined;
  return cause === undefined ? String(value.stack) : `${String(value.stack)}\ncaused by: ${cause}`;
}
