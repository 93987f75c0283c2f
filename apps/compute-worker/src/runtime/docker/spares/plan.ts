import type { ContainerCreateOptions } from 'dockerode';
import type { RunSpec } from '../../index.ts';
import type { DaemonFacts } from '../client/daemon.ts';
import type { ContainerUser } from '../data/transport.ts';
import type { ReadyImage } from '../images/images.ts';
import { containerOptions, wordsOf } from '../run/create.ts';
import { GATE_PROGRAM } from './gate.ts';
import { type Places, placesFor } from './places.ts';

/** A container that can be started before it is known whose run it is. */
export interface SparePlan {
  /** Two plans of the same key are the same container, but for the folders at its mounts. */
  readonly key: string;
  /** Its image, by id; and what the daemon finds it by. */
  readonly image: Pick<ReadyImage, 'id' | 'name'>;
  /** What it is created with, without its mounts of data. */
  readonly options: ContainerCreateOptions;
  readonly mounts: readonly { readonly container: string; readonly readOnly: boolean }[];
  readonly places: Places;
  /** What a run in it may take, in bytes. */
  readonly memoryBytes: number;
}

/** What of a run has to be known before. */
export type PlannedRun = Pick<RunSpec, 'args' | 'environment' | 'mounts' | 'limits' | 'gpus'>;

/**
 * What the container of a run would have to be, had it been started ahead; undefined for runs that are to have no such one:
 * with GPUs, which others may need meanwhile, or with variables of their own, which nobody is to find in a container that
 * waits.
 */
export function planSpare(
  run: PlannedRun,
  image: ReadyImage,
  { user, facts }: { readonly user: ContainerUser; readonly facts: DaemonFacts },
): SparePlan | undefined {
  const { gpus = [], environment = {}, mounts, limits } = run;
  const words = wordsOf(image, run);
  if (gpus.length > 0 || Object.keys(environment).length > 0 || words.length === 0) return undefined;
  const places = placesFor(mounts);
  if (places === undefined) return undefined;
  const cold = containerOptions(run, image, user, facts);
  const shape = mounts.map(({ container, readOnly }) => ({ container, readOnly }));
  return {
    key: JSON.stringify([image.id, cold, shape, places]),
    image,
    options: { ...cold, Entrypoint: [GATE_PROGRAM], Cmd: [...words] },
    mounts: shape,
    places,
    memoryBytes: limits.memoryBytes,
  };
}
