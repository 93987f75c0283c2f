import { MOST_IN_CALL } from '@morpheo/common';
import type { BuildOutput, SupplyLog } from '../../inputs/supplies.ts';
import type { OutputChunk } from '../../runtime/index.ts';

/** The end of what is printed for a call: by its program, and by the build of its image. */
export class CallLog implements SupplyLog {
  readonly #program = new PrintedEnd();
  readonly #build = new PrintedEnd();

  /** Takes what the program prints. */
  readonly onOutput = async (chunk: OutputChunk): Promise<void> => this.#program.add(chunk);

  /** What the platform itself says is for the logs of orders. */
  readonly log = (): void => undefined;

  readonly buildOutput = (): BuildOutput => ({
    onOutput: async (chunk) => this.#build.add(chunk),
    [Symbol.asyncDispose]: async () => undefined,
  });

  /** The end of what the program printed, or where that is nothing of these lines; no member where they are none. */
  shown(lines: readonly string[] = []): { log?: string } {
    return member(this.#program.text === '' ? lines.join('\n') : this.#program.text);
  }

  /** The same of what the build printed. */
  shownOfBuild(lines: readonly string[] = []): { log?: string } {
    return member(lines.length === 0 ? this.#build.text : lines.join('\n'));
  }
}

class PrintedEnd {
  readonly #decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  text = '';

  add({ stream, bytes }: OutputChunk): void {
    this.text = `${this.text}${this.#decoders[stream].decode(bytes, { stream: true })}`.slice(
      -MOST_IN_CALL.logCharacters,
    );
  }
}

function member(text: string): { log?: string } {
  return text === '' ? {} : { log: text.slice(-MOST_IN_CALL.logCharacters) };
}
