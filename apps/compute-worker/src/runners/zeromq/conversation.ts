import { posix } from 'node:path';
import type { Duplex } from 'node:stream';
import { ProtocolFault } from '../errors.ts';
import type { RunnerDesk } from '../protocol.ts';
import { Dealer, ZmtpFault } from './dealer.ts';
import { ANSWER_BYTES, inputMessage, readAnswer } from './messages.ts';

/**
 * Speaks with a runner of Shepherd at the other end of a stream, one call at a time, until the stream ends: a runner is
 * ready once it has greeted. Tells the desk what is out of turn. Resolves with whether
 * the other end has left a call unanswered.
 */
export async function converse(stream: Duplex, desk: RunnerDesk): Promise<boolean> {
  const over = new AbortController();
  const turn = new Turn();
  try {
    const dealer = await Dealer.open(stream, { mostBytes: ANSWER_BYTES });
    const asking = ask(dealer, desk, turn, over.signal);
    asking.catch((error: unknown) =>
      stream.destroy(error instanceof Error ? error : new Error(String(error))),
    );
    for await (const frame of dealer.messages()) {
      const answer = readAnswer(frame);
      if (answer === undefined) {
        throw new ProtocolFault('The runner sent what is no answer of a runner of Shepherd.');
      }
      const { id, ...said } = answer;
      desk.answer(id, said);
      turn.end();
    }
  } catch (error) {
    const fault = faultOf(error);
    if (fault !== undefined) {
      desk.fault(fault);
      return false;
    }
  } finally {
    over.abort();
    stream.destroy();
  }
  return turn.isOn;
}

/** Undefined for the end of a connection, after which the program may take a new one. */
function faultOf(error: unknown): ProtocolFault | undefined {
  if (error instanceof ZmtpFault) return new ProtocolFault(`At the runner's port: ${error.message}`);
  return error instanceof ProtocolFault ? error : undefined;
}

/** Offers one call after the other. */
async function ask(dealer: Dealer, desk: RunnerDesk, turn: Turn, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    const [call] = await desk.next(1, over);
    if (call === undefined) return;
    if (over.aborted)
      return desk.fault(new ProtocolFault('The runner closed its connection while it was given a call.'));
    const ended = turn.begin();
    dealer.send(inputMessage(call.id, posix.dirname(posix.dirname(call.inputs))));
    await ended;
  }
}

/** Whether a call is with the runner. */
class Turn {
  #end: (() => void) | undefined;

  get isOn(): boolean {
    return this.#end !== undefined;
  }

  /** Resolves when it has ended. */
  begin(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#end = resolve;
    return promise;
  }

  end(): void {
    this.#end?.();
    this.#end = undefined;
  }
}
