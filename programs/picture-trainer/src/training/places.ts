/** Where a training finds what it is given, and where it leaves what comes of it: folders of this machine. */
export interface Places {
  readonly pictures: string;
  /** Pictures to measure on; absent where it does not exist. */
  readonly test: string;
  /** The outputs of an earlier training of the same network; absent where it does not exist. */
  readonly start: string;
  readonly outputs: string;
  /** Undefined where there is none: then nothing is kept for a later attempt. */
  readonly checkpoint: string | undefined;
  /** Of a network, in `network/` of the outputs of its training. */
  readonly network: string;
}

/**
 * The places that the environment names, or those of a job. They stand in variables because a worker without containers
 * replaces paths in these, and in nothing that the program says itself.
 */
export function placesOf(environment: NodeJS.ProcessEnv): Places {
  return {
    pictures: environment.TRAINER_PICTURES ?? '/pictures/train',
    test: environment.TRAINER_TEST ?? '/pictures/test',
    start: environment.TRAINER_START ?? '/start',
    network: environment.TRAINER_NETWORK ?? '/network',
    outputs: environment.MORPHEO_OUTPUTS ?? '/outputs',
    checkpoint: environment.MORPHEO_CHECKPOINT || undefined,
  };
}
