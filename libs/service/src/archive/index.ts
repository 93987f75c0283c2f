export { ArchiveError } from './header.ts';
export { type ArchivedEntry, ArchiveReader, type TarHeader } from './read.ts';
export {
  type ByteSink,
  fileEntry,
  type TarEntry,
  type TarFile,
  type TarOptions,
  tarOf,
  writeAndDrain,
} from './tar.ts';
export { pathProblem, shownPath, type TreeLimits } from './tree-limits.ts';
export { throwIfDiskFull, type Unpacked, type UnpackOptions, unpackArchive } from './unpack.ts';
