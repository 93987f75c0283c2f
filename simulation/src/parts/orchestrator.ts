import { type Api, type OrchestratorContract, PlatformError } from '@morpheo/common';

/** The calls that compute-api makes to an orchestrator. */
export type Callbacks = Pick<Api<OrchestratorContract>, 'setWorker' | 'learnDone' | 'predDone'>;

/**
 * An orchestrator that answers as the original does: what changes nothing is refused with 400, so a message that
 * comes again is refused, and has to be taken for heard.
 */
export class SimulatedOrchestrator {
  /** How each order ended, as it was told: every change of it, oldest first. */
  readonly heard = new Map<string, string[]>();
  readonly #taken = new Set<string>();
  readonly api: Callbacks = {
    setWorker: async ({ params: { uuid } }) => {
      if (this.#taken.has(uuid) || this.heard.has(uuid)) {
        throw new PlatformError(
          'invalid_request',
          `worker not set for learnuplet ${uuid}. Might be already pending`,
        );
      }
      this.#taken.add(uuid);
      return { learnuplet_worker_set: uuid };
    },
    learnDone: async ({ params: { uuid }, body }) => {
      this.#hear(uuid, body.status);
      return { updated_learnuplet: uuid };
    },
    predDone: async ({ params: { uuid }, body }) => {
      this.#hear(uuid, body.status);
      return { updated_preduplet: uuid };
    },
  };

  #hear(uuid: string, status: string): void {
    const before = this.heard.get(uuid) ?? [];
    if (before.at(-1) === status)
      throw new PlatformError('invalid_request', `no update of learnuplet ${uuid}`);
    this.heard.set(uuid, [...before, status]);
  }
}
