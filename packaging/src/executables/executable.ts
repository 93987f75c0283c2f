import { execFile } from 'node:child_process';
import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inject } from 'postject';

const run = promisify(execFile);

/** What Node looks for in its own file to know that a program was put into it; Node's documentation names both. */
const RESOURCE = 'NODE_SEA_BLOB';
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/** The files of the page that services show at `/docs`. */
const PAGE_FILES = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'];

/** What {@link makeExecutable} is given. */
export interface MakeExecutable {
  /** The program in one CommonJS file. */
  readonly script: string;
  /** Whether it shows the page at `/docs`. */
  readonly page: boolean;
  /** Other files that it has inside, by the names that it asks for. */
  readonly assets: Readonly<Record<string, string>>;
  /** A folder for what is made on the way. */
  readonly folder: string;
  /** Where the executable is written. */
  readonly outfile: string;
}

/**
 * Makes a program into an executable that needs nothing beside it: a copy of this Node, with the script, its compiled
 * code and its files put inside (https://nodejs.org/api/single-executable-applications.html).
 */
export async function makeExecutable({
  script,
  page,
  assets,
  folder,
  outfile,
}: MakeExecutable): Promise<void> {
  const blob = join(folder, 'program.blob');
  const config = join(folder, 'sea.json');
  const settings = {
    main: script,
    output: blob,
    disableExperimentalSEAWarning: true,
    useCodeCache: true,
    assets: { ...(page ? pageFiles() : {}), ...assets },
  };
  await writeFile(config, JSON.stringify(settings));
  await run(process.execPath, ['--experimental-sea-config', config]);
  await copyFile(process.execPath, outfile);
  await chmod(outfile, 0o755);
  await withoutSymbols(outfile);
  await quietly(async () => await inject(outfile, RESOURCE, await readFile(blob), { sentinelFuse: FUSE }));
}

function pageFiles(): Record<string, string> {
  const names = PAGE_FILES.map((file) => `swagger-ui-dist/${file}`);
  return Object.fromEntries(names.map((name) => [name, fileURLToPath(import.meta.resolve(name))]));
}

/** A seventh of Node are names for debuggers. A machine without `strip` keeps them: the executable works as well. */
async function withoutSymbols(file: string): Promise<void> {
  await run('strip', [file]).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

/** The injector's parser of executables warns of a section that it does not know, and cannot be told not to. */
async function quietly(work: () => Promise<void>): Promise<void> {
  const { warn, log, error } = console;
  Object.assign(console, { warn() {}, log() {}, error() {} });
  try {
    await work();
  } finally {
    Object.assign(console, { warn, log, error });
  }
}
