import type { CopySource } from './stages.ts';

/** Something to be done for an image, with the line and the text that ask for it. */
export type Action = RunAction | FolderAction | CopyAction;

/** Where an action comes from. */
export interface Origin {
  readonly line: number;
  /** As it is written, on one line. */
  readonly text: string;
}

/** A program of the image runs. */
export interface RunAction extends Origin {
  readonly kind: 'run';
  readonly words: readonly string[];
  /** All of its environment. */
  readonly environment: ReadonlyMap<string, string>;
  /** That of ARG lines alone: what of it the image does not keep. */
  readonly passing: readonly string[];
  readonly workingFolder: string;
  /** Root where absent. */
  readonly user: string | undefined;
}

/** A folder is made, where it is not there. */
export interface FolderAction extends Origin {
  readonly kind: 'folder';
  /** Absolute. */
  readonly path: string;
}

/** Files are copied. */
export interface CopyAction extends Origin {
  readonly kind: 'copy';
  readonly word: 'COPY' | 'ADD';
  /** From the build context where absent. */
  readonly from: CopySource | undefined;
  /** Paths relative to the root of what is copied from, `.` for all of it; may hold `*`, `?` and `[a-z]`. */
  readonly sources: readonly string[];
  /** Absolute. */
  readonly destination: string;
  /** True where the destination is a folder to copy into, by a slash at its end. */
  readonly intoFolder: boolean;
  readonly owner: string | undefined;
  /** Of all files and folders. */
  readonly mode: number | undefined;
}
