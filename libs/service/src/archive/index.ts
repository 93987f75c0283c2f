export {
  type ByteSink,
  fileEntry,
  type TarEntry,
  type TarFile,
  type TarOptions,
  tarOf,
  writeAndDrain,
} from './tar.ts';
