import type { ServerResponse } from 'node:http';
import { PlatformError } from '@morpheo/common';

/** A call under way. */
export interface OpenCall {
  /** Aborted when the client is gone (`cancelled`) or the server stops (`unavailable`). */
  readonly signal: AbortSignal;
  /** See `Call.sent`. */
  readonly sent: Promise<'whole' | 'cut'>;
  /** Says that the answer is a live stream, which does not end by itself in time: a server that stops ends it. */
  markLive(): void;
}

/** The calls under way of an app; see {@link createCalls}. */
export interface Calls {
  open(response: ServerResponse): OpenCall;
  endStreams(): void;
  abort(): void;
}

/** Keeps the calls under way, each until its answer is sent or its connection closed, so that they can be aborted. */
export function createCalls(): Calls {
  const open = new Set<AbortController>();
  const live = new Set<AbortController>();
  let stopping = false;
  const stop = (controllers: Set<AbortController>) => {
    for (const controller of controllers) {
      controller.abort(new PlatformError('unavailable', 'This service is stopping; try again in a moment.'));
    }
  };
  return {
    open: (response) => {
      const controller = new AbortController();
      const { promise: sent, resolve } = Promise.withResolvers<'whole' | 'cut'>();
      open.add(controller);
      response.once('close', () => {
        open.delete(controller);
        live.delete(controller);
        resolve(response.writableFinished ? 'whole' : 'cut');
        if (!response.writableFinished) {
          controller.abort(new PlatformError('cancelled', 'The client closed the connection.'));
        }
      });
      return {
        signal: controller.signal,
        sent,
        markLive: () => {
          live.add(controller);
          if (stopping) stop(live);
        },
      };
    },
    endStreams: () => {
      stopping = true;
      stop(live);
    },
    abort: () => stop(open),
  };
}
