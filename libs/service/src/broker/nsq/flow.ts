import type { Message, NSQDConnection } from 'nsqjs';

/** What comes in over one connection: how much of it was asked for, and how much is being handled. */
export class Flow {
  readonly #connection: NSQDConnection;
  #asked = 0;
  #handled = 0;

  constructor(connection: NSQDConnection, onMessage: (message: Message) => void) {
    this.#connection = connection;
    connection.on('message', onMessage);
  }

  get messageTimeoutMs(): number {
    return this.#connection.msgTimeout;
  }

  /** A message of this connection is being handled, until disposed. */
  handling(): Disposable {
    this.#handled += 1;
    return {
      [Symbol.dispose]: () => {
        this.#handled -= 1;
      },
    };
  }

  /** Asks nsqd for so many messages beyond those that are being handled. */
  ask(more: number): void {
    this.#tell(this.#handled + more);
  }

  /** Asks for no more; what is being handled is still ours. */
  stop(): void {
    this.#tell(0);
  }

  /** nsqd's count is of all that it has sent and that is not finished. */
  #tell(count: number): void {
    if (count === this.#asked) return;
    this.#asked = count;
    this.#connection.setRdy(count);
  }
}
