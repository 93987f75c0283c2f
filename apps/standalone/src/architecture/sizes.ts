import { dirname } from 'node:path';
import { sourcesOf, type Tree } from './tree.ts';

/** What a reader can take in at once. */
export const LIMITS = {
  /** Source files of any folder. */
  filesOfFolder: 16,
  /** Source files of the top folder of an app. */
  filesOfTop: 8,
  /** A file of so many lines or fewer is a small one. */
  smallLines: 20,
  /** Small source files in the whole tree. */
  smallFiles: 30,
} as const;

const TOP = /^apps\/[^/]+\/src$/;

/** The folders that hold more source files than one may, a sentence each. */
export function crowdedFolders(files: Tree): string[] {
  const paths = [...sourcesOf(files).keys()];
  return [...Map.groupBy(paths, dirname)].flatMap(([folder, inside]) => {
    const most = TOP.test(folder) ? LIMITS.filesOfTop : LIMITS.filesOfFolder;
    return inside.length > most ? [`${folder} holds ${inside.length} source files, ${most} at most`] : [];
  });
}

/** The source files that are small: each is a detour for a reader, unless it is a port or an entry point. */
export function smallFiles(files: Tree): string[] {
  return [...sourcesOf(files)]
    .filter(([, text]) => text.trimEnd().split('\n').length <= LIMITS.smallLines)
    .map(([path]) => path);
}
