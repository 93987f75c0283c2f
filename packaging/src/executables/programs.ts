import { fileURLToPath } from 'node:url';

/** The root of the repository, with a slash at its end. */
export const ROOT: string = fileURLToPath(new URL('../../../', import.meta.url));

/** A program that ships as one file. */
export interface Program {
  /** The file's name. */
  readonly name: string;
  /** Its package, from the root. */
  readonly folder: string;
  /** Its first file and the reader of its settings, from the root; `main.ts` and `config` of its package where absent. */
  readonly sources?: { readonly main: string; readonly config: string };
  /** Packages with native code, which lie beside the file in `node_modules`: it needs them there. */
  readonly native?: readonly string[];
  /** Files that it has inside, by the names that it asks for; where they are, from the root. */
  readonly assets?: Readonly<Record<string, string>>;
  /** A service can be asked whether it is well: `<name> --health`, for images without any other tool. */
  readonly service: boolean;
}

/** Every program that ships, by the name that the command line knows it by. */
export const PROGRAMS: Readonly<Record<string, Program>> = {
  'compute-api': { name: 'compute-api', folder: 'apps/compute-api', service: true },
  'compute-worker': { name: 'compute-worker', folder: 'apps/compute-worker', service: true },
  'storage-api': { name: 'storage-api', folder: 'apps/storage-api', service: true },
  // With the whole platform inside, for where none is named.
  shepherd: {
    name: 'shepherd',
    folder: 'apps/shepherd-api',
    sources: {
      main: 'apps/standalone/src/shepherd/main.ts',
      config: 'apps/standalone/src/shepherd/config.ts',
    },
    service: true,
  },
  dicebox: {
    name: 'dicebox',
    folder: 'apps/dicebox',
    native: ['sharp'],
    assets: drawingPage('index.html', 'page.css', 'main.js', 'drawing.js', 'service.js'),
    service: true,
  },
  morpheo: { name: 'morpheo', folder: 'apps/cli', service: false },
};

/** The files of the page to draw on. */
function drawingPage(...names: readonly string[]): Record<string, string> {
  const folder = 'apps/dicebox/src/classification/page';
  return Object.fromEntries(names.map((name) => [`dicebox/${name}`, `${folder}/${name}`]));
}

/** Where the executable of a program goes, from the root. */
export function targetOf({ folder, name }: Program): string {
  return `${folder}/target/${name}`;
}
