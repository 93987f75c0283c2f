import { PlatformError } from '@morpheo/common';
import { isScalar, LineCounter, parseDocument, Scalar, visit } from 'yaml';
import type { z } from 'zod';

type Parsed = ReturnType<typeof parseDocument>;

/** What {@link readYaml} is given. */
export interface YamlText<S extends z.ZodType> {
  readonly text: string;
  /** What errors call the file. */
  readonly file: string;
  /** The variables that `$NAME` and `${NAME}` stand for; absent: these are no variables. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly schema: S;
}

/** A problem, and the keys that lead to the place that it is about. */
export interface Misfit {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** What was read, and where it stands. */
export interface ReadYaml<T> {
  readonly value: T;
  /** The error that tells of problems, each with its line. */
  readonly refuse: (misfits: readonly Misfit[]) => PlatformError;
}

/**
 * Reads YAML 1.2 that fits a schema. In texts without quotes, `$NAME` and `${NAME}`, in capitals, stand for variables, where
 * there are some, as in the configuration of Shepherd. Throws `invalid_request` that names the file, and the line of each problem; it shows no
 * value.
 */
export function readYaml<S extends z.ZodType>({
  text,
  file,
  env,
  schema,
}: YamlText<S>): ReadYaml<z.output<S>> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
  const refusal = (problems: readonly { readonly offset: number; readonly message: string }[]) => {
    const told = problems.map(({ offset, message }) => `line ${lines.linePos(offset).line}: ${message}`);
    return new PlatformError('invalid_request', `The configuration ${file} is no good. ${told.join('; ')}.`);
  };
  const broken = document.errors.map(({ pos, message }) => ({ offset: pos[0], message: calm(message) }));
  if (broken.length > 0) throw refusal(broken);
  const unset: { offset: number; message: string }[] = [];
  visit(document, {
    Scalar(_key, node) {
      if (env === undefined || node.type !== Scalar.PLAIN || typeof node.value !== 'string') return;
      node.value = node.value.replace(VARIABLE, (_all, braced?: string, bare?: string) => {
        const name = braced ?? bare ?? '';
        const value = env[name];
        if (value === undefined)
          unset.push({ offset: node.range?.[0] ?? 0, message: `the variable ${name} is not set` });
        return value ?? '';
      });
    },
  });
  if (unset.length > 0) throw refusal(unset);
  const refuse = (misfits: readonly Misfit[]) =>
    refusal(
      misfits.map(({ path, message }) => ({
        offset: offsetOf(document, path),
        message: `${path.map(String).join('.') || 'the whole'}: ${message}`,
      })),
    );
  const read = schema.safeParse(plainOf(document, refuse));
  if (!read.success) throw refuse(read.error.issues);
  return { value: read.data, refuse };
}

function plainOf(document: Parsed, refuse: ReadYaml<unknown>['refuse']): unknown {
  try {
    // A few lines may else stand for gigabytes.
    return document.toJS({ maxAliasCount: 100 });
  } catch {
    throw refuse([{ path: [], message: 'it refers to parts of itself too often' }]);
  }
}

const VARIABLE = /\$(?:\{([A-Z_][A-Z_0-9]*)\}|([A-Z_][A-Z_0-9]*))/g;

/** Where the last part of a path that is there begins; of a key, where that stands. */
function offsetOf(document: Parsed, path: readonly PropertyKey[]): number {
  for (let length = path.length; length >= 0; length -= 1) {
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (hasRange(node)) return keyOf(document, path.slice(0, length)) ?? node.range[0];
  }
  return 0;
}

function keyOf(document: Parsed, path: readonly PropertyKey[]): number | undefined {
  const last = path.at(-1);
  let found: number | undefined;
  const parent = path.length < 2 ? document.contents : document.getIn(path.slice(0, -1), true);
  visit(document, {
    Pair(_key, { key }, ancestors) {
      if (ancestors.at(-1) === parent && isScalar(key) && key.value === last) found = key.range?.[0];
    },
  });
  return found;
}

function hasRange(node: unknown): node is { readonly range: readonly [number, number, number] } {
  return typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range);
}

/** The reader ends some of its sentences with what stands there, which may be a secret. */
function calm(message: string): string {
  return message.split(/[:"'`]/)[0]?.trim() ?? '';
}
