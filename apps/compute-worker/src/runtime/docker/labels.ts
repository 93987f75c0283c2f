import { randomBytes } from 'node:crypto';
import type { AnyRun, AttemptName, RunSpec } from '../index.ts';

/** Who made something that lives in a daemon: a worker, and the very process of it. */
export interface Owner {
  /** The worker's UUID, the same after every start. */
  readonly worker: string;
  /** Made anew at every start. */
  readonly boot: string;
}

/** How the names of all our labels begin. */
export const LABEL_PREFIX = 'org.morpheo.';

/** The labels of all that the worker makes in a daemon. */
export const LABELS = {
  worker: 'org.morpheo.worker',
  boot: 'org.morpheo.boot',
  order: 'org.morpheo.order',
  attempt: 'org.morpheo.attempt',
  step: 'org.morpheo.step',
  /** Of the container of a runner, in place of these. */
  runner: 'org.morpheo.runner',
  /** Of the container of a run: by these a later process of the worker takes it up; see `adoption.ts`. */
  run: 'org.morpheo.run',
  data: 'org.morpheo.data',
  /** Of a container that was started ahead: the labels of its run are in its name, since a container keeps its labels. */
  spare: 'org.morpheo.spare',
  /** On none: when the run of such a one began, by the worker's clock, in milliseconds since 1970. */
  began: 'org.morpheo.began',
  /** Of an image: the SHA-256 of the archive that it was built from. */
  context: 'org.morpheo.context',
  /** Of the same: which folders are to be memory of a run, as JSON. Images that were built by other rules have none. */
  volumes: 'org.morpheo.volumes',
  /** Of what a RUN line made, and of what starts from that: a digest of the line and of what it ran in. */
  line: 'org.morpheo.line',
} as const;

/** The labels of whatever belongs to a run: enough to tell later whose it was. */
export function labelsOf({ worker, boot }: Owner, of: AnyRun['labels']): Record<string, string> {
  const owner = { [LABELS.worker]: worker, [LABELS.boot]: boot };
  if ('runner' in of) return { ...owner, [LABELS.runner]: of.runner };
  const { order, attempt, step } = of;
  return { ...owner, [LABELS.order]: order, [LABELS.attempt]: String(attempt), [LABELS.step]: step };
}

/** A container or volume, as it is told apart. */
export interface InDaemon {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** How the names of containers begin that were started ahead. */
export const SPARE_NAME = 'morpheo-spare-';

/** What the name of a container that was started ahead tells of its run, in this order. */
const IN_NAMES = ['order', 'attempt', 'step', 'run', 'began', 'data'] as const;
/** Between the words of a label: a name has no blanks. */
const BLANK = '_';

/** The labels of a run as a part of a name: see {@link withRunOfSpare}. */
export function inName(labels: Readonly<Record<string, string>>): string {
  return IN_NAMES.map((name) => (labels[LABELS[name]] ?? '').replaceAll(' ', BLANK)).join('.');
}

/** A thing of a daemon with the labels that its name tells, where it was started ahead and is somebody's run. */
export function withRunOfSpare(thing: InDaemon): InDaemon {
  if (!(LABELS.spare in thing.labels)) return thing;
  const [, ...words] = thing.name.split('.');
  if (words.length !== IN_NAMES.length) return thing;
  const told = IN_NAMES.map((name, index) => [LABELS[name], (words[index] ?? '').replaceAll(BLANK, ' ')]);
  return { ...thing, labels: { ...thing.labels, ...Object.fromEntries(told) } };
}

/** An attempt as one word. */
export function attemptKey({ order, attempt }: AttemptName): string {
  return `${order} ${attempt}`;
}

/** The attempt that something belongs to, as {@link attemptKey} has it. */
export function attemptOf({ labels }: InDaemon): string {
  return `${labels[LABELS.order]} ${labels[LABELS.attempt]}`;
}

/** Whether something belongs to a run of this order, attempt and step. */
export function isOfRun(thing: InDaemon, { labels }: Pick<RunSpec, 'labels'>): boolean {
  return attemptOf(thing) === attemptKey(labels) && thing.labels[LABELS.step] === labels.step;
}

/** A name for a container or a volume of a run, unlike any other: a person sees what it is for. */
export function nameFor(of: AnyRun['labels']): string {
  const whose =
    'runner' in of ? `runner-${of.runner.slice(0, 8)}` : `${of.order.slice(0, 8)}-${of.attempt}-${of.step}`;
  return `morpheo-${whose}-${randomBytes(6).toString('hex')}`;
}

/** The repository of the images that are built from archives. */
export const IMAGES = 'morpheo-step';

/** The repository of the images that were fetched from registries. */
export const LOADED_IMAGES = 'morpheo-image';

/** The name of the image that a registry has by a digest. */
export function loadedImageName(digest: string): string {
  return `${LOADED_IMAGES}/${digest}:latest`;
}

/** The name of the image that is built from a context. */
export function imageName(digest: string): string {
  return `${IMAGES}/${digest}:latest`;
}
