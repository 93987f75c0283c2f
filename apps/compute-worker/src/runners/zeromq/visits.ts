import type { Socket } from 'node:net';
import { ProtocolFault } from '../errors.ts';
import type { RunnerDesk } from '../protocol.ts';
import { converse } from './conversation.ts';

/** A program that closed its connection in the middle of a call ends soon, or never answers; in milliseconds. */
const SILENT_MS = 2000;

/** The connections of one runner, of which there is one at a time. */
export class Visits implements Disposable {
  readonly #desk: RunnerDesk;
  readonly #silentMs: number;
  #socket: Socket | undefined;
  #silence: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** `silentMs`: how long a program that has a call may be without a connection, in milliseconds. */
  constructor(desk: RunnerDesk, silentMs: number = SILENT_MS) {
    this.#desk = desk;
    this.#silentMs = silentMs;
  }

  /** Speaks with the runner at the other end; resolves when that is over. What is one too many is closed. */
  async receive(socket: Socket): Promise<void> {
    socket.on('error', () => undefined);
    if (this.#socket !== undefined || this.#silence !== undefined || this.#isClosed) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    const isUnanswered = await converse(socket, this.#desk);
    this.#socket = undefined;
    if (!isUnanswered || this.#isClosed) return;
    // A program that dies loses its connection first: how it ended says more.
    const fault = new ProtocolFault('The runner closed its connection in the middle of a call.');
    this.#silence = setTimeout(() => this.#desk.fault(fault), this.#silentMs);
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    clearTimeout(this.#silence);
    this.#socket?.destroy();
  }
}
