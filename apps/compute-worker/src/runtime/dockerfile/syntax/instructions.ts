import type { EscapeMark } from './lines.ts';
import type { Template } from './template.ts';

/** A command: its words as a program gets them, or a text for a shell. */
export type Command =
  | { readonly form: 'exec'; readonly words: readonly string[] }
  | { readonly form: 'shell'; readonly text: string };

/** A variable that is set. */
export interface Assignment {
  readonly name: string;
  readonly value: Template;
}

/** A label, in whose name variables are replaced too. */
export interface Label {
  readonly name: Template;
  readonly value: Template;
}

/** A COPY line, or an ADD line. */
export interface CopyInstruction {
  readonly kind: 'COPY' | 'ADD';
  readonly line: number;
  /** The name or number of a stage, or the name of an image; from the build context where absent. */
  readonly from: string | undefined;
  readonly chown: Template | undefined;
  readonly chmod: Template | undefined;
  readonly sources: readonly Template[];
  readonly destination: Template;
}

/** A FROM line. */
export interface FromInstruction {
  readonly kind: 'FROM';
  readonly line: number;
  readonly image: Template;
  /** In lower case. */
  readonly stage: string | undefined;
}

/** The closed list of instructions that are understood, each with all that is kept of it. */
export type Instruction =
  | FromInstruction
  | CopyInstruction
  | {
      readonly kind: 'ARG';
      readonly line: number;
      readonly names: readonly (Assignment | { readonly name: string })[];
    }
  | { readonly kind: 'ENV'; readonly line: number; readonly variables: readonly Assignment[] }
  | { readonly kind: 'RUN' | 'ENTRYPOINT' | 'CMD'; readonly line: number; readonly command: Command }
  | { readonly kind: 'WORKDIR' | 'USER' | 'STOPSIGNAL'; readonly line: number; readonly value: Template }
  | { readonly kind: 'VOLUME' | 'EXPOSE'; readonly line: number; readonly values: readonly Template[] }
  | { readonly kind: 'SHELL'; readonly line: number; readonly words: readonly string[] }
  | { readonly kind: 'LABEL'; readonly line: number; readonly labels: readonly Label[] }
  | { readonly kind: 'MAINTAINER' | 'HEALTHCHECK'; readonly line: number };

/** A Dockerfile, read. */
export interface Dockerfile {
  readonly escapeMark: EscapeMark;
  readonly instructions: readonly Instruction[];
  /** The text of each instruction, for people: what is continued as one line. */
  readonly texts: ReadonlyMap<Instruction, string>;
  /** What is not heeded, a sentence each. */
  readonly remarks: readonly string[];
}
