import { type Api, PlatformError, type StorageContract } from '@morpheo/common';

/** What compute-api and the workers need of storage: results are staged by attempts, and shown or dropped later. */
export type ResultStorage = Pick<Api<StorageContract>, 'stageResult' | 'publishResult' | 'discardResults'>;

/** A storage that keeps who staged and which attempt's result everybody sees. */
export class SimulatedStorage {
  readonly #staged = new Set<string>();
  /** The attempt whose result is visible, by order. */
  readonly visible = new Map<string, number>();
  readonly api: ResultStorage = {
    stageResult: async ({ params: { order, attempt } }) => {
      this.#staged.add(`${order} ${attempt}`);
      return { size: 1, sha256: 'a'.repeat(64) };
    },
    publishResult: async ({ params: { order, attempt } }) => {
      const shown = this.visible.get(order);
      if (shown !== undefined && shown !== attempt) {
        throw new PlatformError('conflict', `The result of attempt ${shown} of ${order} is visible already.`);
      }
      if (shown === undefined && !this.#staged.has(`${order} ${attempt}`)) {
        throw new PlatformError('not_found', `Attempt ${attempt} of ${order} staged nothing.`);
      }
      this.visible.set(order, attempt);
      this.#drop(order);
      return { uuid: order, timestamp_upload: 0, size: 1, sha256: 'a'.repeat(64) };
    },
    discardResults: async ({ params: { order } }) => {
      this.#drop(order);
      return undefined;
    },
  };

  #drop(order: string): void {
    for (const key of this.#staged) if (key.startsWith(`${order} `)) this.#staged.delete(key);
  }
}
