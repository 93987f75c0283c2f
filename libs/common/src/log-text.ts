import type { LogChunk } from './contract/orders.ts';

type Piece = Pick<LogChunk, 'attempt' | 'step' | 'stream' | 'text'>;

/**
 * Makes one text of the pieces of a log, in their order. What the platform says, and what another step or attempt
 * prints, begins on a line of its own, also where the program before it left its last line open.
 */
export class LogText {
  #last: Piece | undefined;

  /** The text of the next piece, with a line end before it where one is missing. */
  next(piece: Piece): string {
    const last = this.#last;
    if (piece.text === '') return '';
    this.#last = piece;
    const isOpen = last !== undefined && !last.text.endsWith('\n');
    return isOpen && whose(last) !== whose(piece) ? `\n${piece.text}` : piece.text;
  }
}

function whose({ attempt, step, stream }: Piece): string {
  return `${attempt} ${step} ${stream === 'platform'}`;
}
