import * as z from 'zod';

/**
 * What an order may need of its worker, and what a worker offers. Both are sets of terms, such as `runtime=docker`,
 * `arch=amd64`, `warm=runner` and `label.zone=a`: a worker can run an order where it offers every term that the order needs.
 */

/** What runs containers: a Docker daemon, or plain processes of the worker's machine. */
export const RUNTIMES = ['docker', 'process'] as const;

/**
 * What warm runners speak with their worker: `runner` is the platform's own contract, `zeromq` that of Shepherd's runners.
 */
export const RUNNER_PROTOCOLS = ['runner', 'zeromq'] as const;

/** A protocol of {@link RUNNER_PROTOCOLS}. */
export type RunnerProtocol = (typeof RUNNER_PROTOCOLS)[number];

/** Architectures, as Go and the images of OCI call them. */
export const ARCHITECTURES = [
  'amd64',
  'arm64',
  'arm',
  '386',
  'ppc64le',
  'riscv64',
  's390x',
  'loong64',
] as const;

/** An architecture of {@link ARCHITECTURES}. */
export type Architecture = (typeof ARCHITECTURES)[number];

const BY_MACHINE: Readonly<Record<string, Architecture>> = {
  x86_64: 'amd64',
  aarch64: 'arm64',
  armv6l: 'arm',
  armv7l: 'arm',
  i386: '386',
  i686: '386',
  loongarch64: 'loong64',
};

/** The architecture that a kernel calls by its own name, such as `x86_64` (as `uname -m`); undefined for any other. */
export function architectureOf(machine: string): Architecture | undefined {
  return BY_MACHINE[machine] ?? ARCHITECTURES.find((known) => known === machine);
}

/** The most labels that a worker may offer, and that an order may need. */
export const MOST_LABELS = 32;

const NAME = '[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?';
const DOMAIN = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const KEY = new RegExp(`^(?:(?=.{1,253}/)${DOMAIN}(?:\\.${DOMAIN})*/)?${NAME}$`);
const VALUE = new RegExp(`^(?:${NAME})?$`);

/**
 * The key of a label, as Kubernetes has them: a name of at most 63 letters, digits, `-`, `_` and `.`, and before it perhaps
 * a DNS name and a slash. Source: Kubernetes, "Labels and Selectors", "Syntax and character set".
 */
export const labelKey = z
  .string()
  .regex(
    KEY,
    'should be a name of at most 63 letters, digits, - _ and ., between letters or digits, perhaps after a DNS name and a /',
  );

/** The value of a label: as the name in a {@link labelKey}, or empty. */
export const labelValue = z
  .string()
  .regex(VALUE, 'should be at most 63 letters, digits, - _ and ., between letters or digits');

/** Labels by their keys. */
export const labels = z
  .record(labelKey, labelValue)
  .refine((given) => Object.keys(given).length <= MOST_LABELS, `should be at most ${MOST_LABELS} labels`);

/** What an order needs of its worker; an order that needs nothing runs anywhere. */
export const orderNeeds = z.strictObject({
  runtime: z.enum(RUNTIMES).optional(),
  arch: z.enum(ARCHITECTURES).optional(),
  /** That it keeps programs warm which speak this. A job that says `warm` needs it anyway. */
  warm: z.enum(RUNNER_PROTOCOLS).optional(),
  labels: labels.optional(),
});

/** See {@link orderNeeds}. */
export type OrderNeeds = z.infer<typeof orderNeeds>;

/** What needs, or offers, look like before their values were checked. */
export interface NamedTerms {
  readonly runtime?: string | undefined;
  readonly arch?: string | undefined;
  readonly warm?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

const LABEL = 'label.';
const NAMES: readonly string[] = ['runtime', 'arch', 'warm'];

/** The terms of needs or of an offer, each once and in order; the empty list where nothing is needed, or offered. */
export function termsOf({ runtime, arch, warm, labels: named = {} }: NamedTerms): string[] {
  const terms = Object.entries(named).map(([key, value]) => `${LABEL}${key}=${value}`);
  if (runtime !== undefined) terms.push(`runtime=${runtime}`);
  if (arch !== undefined) terms.push(`arch=${arch}`);
  if (warm !== undefined) terms.push(warmTerm(warm));
  return terms.sort();
}

/** The term of a worker that keeps programs warm which speak a protocol. It may offer several. */
export function warmTerm(protocol: string): string {
  return `warm=${protocol}`;
}

/**
 * Needs, or an offer, of their terms. Undefined where one is no term, or two say different things of the same. The values
 * are as they stand there, not checked.
 */
export function namedBy(terms: readonly string[]): NamedTerms | undefined {
  const named = new Map<string, string>();
  for (const term of terms) {
    const at = term.indexOf('=');
    const name = term.slice(0, at);
    if (at < 0 || (!NAMES.includes(name) && !name.startsWith(LABEL))) return undefined;
    const value = term.slice(at + 1);
    if ((named.get(name) ?? value) !== value) return undefined;
    named.set(name, value);
  }
  const all = [...named].filter(([name]) => name.startsWith(LABEL));
  const [runtime, arch, warm] = NAMES.map((name) => named.get(name));
  return {
    ...(runtime === undefined ? {} : { runtime }),
    ...(arch === undefined ? {} : { arch }),
    ...(warm === undefined ? {} : { warm }),
    ...(all.length === 0
      ? {}
      : { labels: Object.fromEntries(all.map(([name, value]) => [name.slice(LABEL.length), value])) }),
  };
}

/** Terms as a sentence has them, such as `Docker, the architecture arm64 and the label zone=a`. */
export function describeTerms(terms: readonly string[]): string {
  const words = terms.map(describeTerm);
  const last = words.at(-1) ?? 'nothing';
  return words.length < 2 ? last : `${words.slice(0, -1).join(', ')} and ${last}`;
}

function describeTerm(term: string): string {
  if (term === 'runtime=docker') return 'Docker';
  if (term === 'runtime=process') return 'the runtime process';
  if (term === warmTerm('runner')) return 'warm runners';
  if (term === warmTerm('zeromq')) return 'warm runners of Shepherd';
  if (term.startsWith(LABEL)) return `the label ${term.slice(LABEL.length)}`;
  return `the architecture ${term.slice(term.indexOf('=') + 1)}`;
}
