/** Files to be copied by a line of {@link Segment}. */
export interface WrittenCopy {
  readonly kind: 'copy';
  /** The id of an image; from the context that goes with the segment where absent. */
  readonly from: string | undefined;
  readonly sources: readonly string[];
  /** Absolute; with a slash at its end where it is a folder to copy into. */
  readonly destination: string;
  readonly owner: string | undefined;
}

/** What a segment of a Dockerfile does. No line of it runs a program. */
export type WrittenStep = WrittenCopy | { readonly kind: 'folder'; readonly path: string };

/** What an image that is whole says of itself. */
export interface WrittenConfig {
  readonly entryPoint: readonly string[];
  readonly environment: ReadonlyMap<string, string>;
  readonly workingFolder: string | undefined;
}

/** Lines of a Dockerfile that a daemon is to carry out, evaluated: see `planImage`. */
export interface Segment {
  /** The id of the image to start from, or `scratch`. */
  readonly base: string;
  readonly steps: readonly WrittenStep[];
  /** Of the last segment of an image. */
  readonly config: WrittenConfig | undefined;
}

/**
 * Writes a Dockerfile anew: all that a daemon ever reads of one is made here. It has FROM, WORKDIR, COPY, ENV and
 * ENTRYPOINT alone, no variables, no wildcards but of COPY from another image, and every word is quoted.
 */
export function writeSegment({ base, steps, config }: Segment): string {
  const lines = [`FROM ${base}`, ...steps.map(stepLine)];
  if (config !== undefined) {
    for (const [name, value] of config.environment) lines.push(`ENV ${name}=${quoted(value)}`);
    if (config.workingFolder !== undefined) lines.push(`WORKDIR ${quoted(config.workingFolder)}`);
    lines.push(`ENTRYPOINT ${json(config.entryPoint)}`);
  }
  return `${lines.join('\n')}\n`;
}

function stepLine(step: WrittenStep): string {
  if (step.kind === 'folder') return `WORKDIR ${quoted(step.path)}`;
  const { from, owner, sources, destination } = step;
  const flags = [
    ...(from === undefined ? [] : [`--from=${from}`]),
    ...(owner === undefined ? [] : [`--chown=${owner}`]),
  ];
  return ['COPY', ...flags, json([...sources, destination].map(escaped))].join(' ');
}

/** What Docker would take for a quote, an escape or a variable, with an escape before it. */
function escaped(text: string): string {
  return text.replaceAll(/[\\"'$]/g, '\\$&');
}

/** A text as one word for Docker, which replaces nothing in it. */
function quoted(text: string): string {
  return `"${text.replaceAll(/[\\"$]/g, '\\$&')}"`;
}

/** A list of words as JSON of ASCII alone. */
function json(words: readonly string[]): string {
  return JSON.stringify(words).replaceAll(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
