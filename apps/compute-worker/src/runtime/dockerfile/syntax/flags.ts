import { buildFailure, shown } from '../failure.ts';
import type { Instruction } from './instructions.ts';

/** The flags of an instruction by their names, `--chown=1` as `chown` and `1`, and what follows them. */
export interface Flags {
  readonly values: ReadonlyMap<string, string>;
  readonly rest: string;
}

/** The flags that are understood. */
const KNOWN: Partial<Record<Instruction['kind'], readonly string[]>> = {
  FROM: ['platform'],
  COPY: ['from', 'chown', 'chmod', 'link'],
  ADD: ['chown', 'chmod', 'link'],
  HEALTHCHECK: ['interval', 'timeout', 'start-period', 'start-interval', 'retries'],
};

/** The ways out of those that are not, by the name of the flag. */
const REMEDIES: Readonly<Record<string, string>> = {
  mount:
    'leave it out. A cache would not outlive the build, secrets are not there, and files of the archive come by COPY',
  network: 'leave it out: RUN lines never have a network',
  security: 'leave it out: RUN lines have the rights that they need, and no more',
  device: 'leave it out: a build has no devices',
  exclude: 'name what to copy, or leave the files out of the archive',
  parents: 'name the folder at the destination too, as in COPY src/lib /app/src/lib',
  checksum: 'leave it out: what is copied lies in the archive',
  unpack: 'put the unpacked files into the archive, or unpack the file in a RUN line',
  'keep-git-dir': 'leave it out: nothing is fetched',
};

/** Reads the flags at the beginning of an instruction's text. Throws `build_failed` for what is not understood. */
export function readFlags(kind: Instruction['kind'], text: string, line: number): Flags {
  const values = new Map<string, string>();
  let rest = text;
  while (rest.startsWith('--')) {
    const [word = ''] = /^\S+/.exec(rest) ?? [];
    rest = rest.slice(word.length).trimStart();
    const [, name, value] = /^--([a-z][a-z-]*)(?:=([^"'`\\]*))?$/.exec(word) ?? [];
    if (name === undefined)
      throw buildFailure(`${kind} ${shown(word)} is no flag: write --name=value, without quotes.`, line);
    demandKnown(kind, name, line);
    if (values.has(name)) throw buildFailure(`${kind} has --${name} twice.`, line);
    if (name === 'link') demandBoolean(value, line);
    else if (value === undefined || value === '')
      throw buildFailure(`${kind} --${name} needs a value.`, line);
    values.set(name, value ?? '');
  }
  return { values, rest };
}

function demandKnown(kind: Instruction['kind'], name: string, line: number): void {
  if (KNOWN[kind]?.includes(name) === true) return;
  const remedy = REMEDIES[name] ?? 'leave it out';
  throw buildFailure(`${kind} --${name} is not supported: ${remedy}.`, line);
}

function demandBoolean(value: string | undefined, line: number): void {
  if (value === undefined || /^(true|false)$/i.test(value)) return;
  throw buildFailure('--link is true or false.', line);
}
