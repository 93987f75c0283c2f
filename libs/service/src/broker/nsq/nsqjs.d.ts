import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import 'nsqjs';

// What nsqjs exports beside the classes that its types know, as far as the driver uses it.
declare module 'nsqjs' {
  /** A connection that hears one channel of one topic. */
  export class NSQDConnection extends EventEmitter {
    constructor(host: string, port: number, topic: string, channel: string, options: ConnectionConfigOptions);
    /** Null until the turn after `connect`. */
    conn: Socket | TLSSocket | null;
    outWriter: Socket | TLSSocket | null;
    /** How long nsqd waits for a message to be finished, in milliseconds. */
    msgTimeout: number;
    readonly statemachine: {
      goto(state: 'ERROR' | 'CLOSED', error?: unknown): void;
      /** What nsqd answered to the introduction. */
      readonly identifyResponse: { readonly auth_required?: boolean } | null;
    };
    connect(): void;
    setRdy(count: number): void;
    clearIdentifyTimeout(): void;
    receiveData(data: Buffer): void;
    registerStreamListeners(socket: Socket | TLSSocket): void;
    startTLS(): void;
    write(data: Buffer | string): void;
  }

  /** A connection that publishes. */
  export class WriterNSQDConnection extends NSQDConnection {
    constructor(host: string, port: number, options: ConnectionConfigOptions);
    /** Does nothing, and never calls back, unless the connection is ready. */
    produceMessages(
      topic: string,
      messages: readonly Buffer[],
      deferMs: undefined,
      callback: (error?: unknown) => void,
    ): void;
  }
}
