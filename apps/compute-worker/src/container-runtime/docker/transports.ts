import type { Log } from '@morpheo/service/log';
import { archives } from './archives.ts';
import type { DataTransport } from './data.ts';
import { type ProbeOptions, seesFolder } from './probe.ts';
import { sharedFolders } from './shared-folders.ts';

/** How data gets into containers: see `DataTransport`; `auto` looks which of them is possible. */
export type DataChoice = 'shared' | 'archive' | 'auto';

/** What {@link Transports} works with. */
export interface TransportsOptions {
  readonly probe: ProbeOptions;
  readonly choice: DataChoice;
  readonly workerUid: number;
  readonly log: Log;
}

/** The way of data that was chosen; looked for once, when the daemon first answers. */
export class Transports {
  readonly #options: TransportsOptions;
  #chosen: Promise<DataTransport> | undefined;

  constructor(options: TransportsOptions) {
    this.#options = options;
  }

  /** The transport. Throws where the daemon has to be asked for it and does not answer. */
  async choose(): Promise<DataTransport> {
    this.#chosen ??= this.#find();
    try {
      return await this.#chosen;
    } catch (error) {
      this.#chosen = undefined;
      throw error;
    }
  }

  async #find(): Promise<DataTransport> {
    const { probe, choice, workerUid, log } = this.#options;
    const { daemon, user } = probe;
    const isShared = choice === 'shared' || (choice === 'auto' && (await seesFolder(probe)));
    const transport = isShared ? sharedFolders(user, workerUid) : archives(daemon, user);
    const { kind } = transport;
    const how =
      kind === 'shared' ? 'in folders that it sees as well' : 'as archives: it sees no folder of ours';
    log.info({ docker: daemon.address, data: kind }, `Data goes to Docker ${how}`);
    return transport;
  }
}
