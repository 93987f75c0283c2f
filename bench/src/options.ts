import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import type { BenchSize } from './bench.ts';

/** What the program is asked to do. */
export interface Options {
  readonly help: boolean;
  readonly size: BenchSize;
  /** The names of the benchmarks to run; empty: all. */
  readonly only: readonly string[];
  /** The size of a blob in MiB; as the size of the run has it where absent. */
  readonly mib: number | undefined;
  /** Among how many orders and things reads are measured, the fewest first; as the size of the run has it where absent. */
  readonly sizes: readonly number[] | undefined;
  readonly json: boolean;
  readonly svg: boolean;
  /** Whether what was found becomes part of the history. */
  readonly history: boolean;
  /** Where the files are made that are measured: a folder on the disk that matters. */
  readonly folder: string;
}

/** What is seeded has a hundred of each state. */
const FEWEST = 300;

/** How the program is used. */
export const HELP = `Measures the platform, each figure beside the plain tool or the limit.

Usage: node bench/main.ts [options]

  --quick          a fraction of the time, and figures that say less
  --tiny           only proves that everything runs
  --only <name>    this benchmark alone; may be given again
  --mib <number>   the size of a blob, in place of 1024 (blobs) and 256 (blobs-on-s3)
  --sizes <list>   among how many orders and things flat measures reads, in place of 1000,100000,1000000
  --json           one JSON document instead of tables
  --svg            draw bench/figures.svg as well
  --history        add what was found to bench/history.jsonl, and draw bench/history.svg: each aim over the commits
  --folder <path>  measure on the disk of this folder; the system's temporary folder where absent
  --help           this text
`;

/** Reads the arguments of the program. Throws where one is not known, or makes no sense. */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      tiny: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      mib: { type: 'string' },
      sizes: { type: 'string' },
      json: { type: 'boolean', default: false },
      svg: { type: 'boolean', default: false },
      history: { type: 'boolean', default: false },
      folder: { type: 'string', default: tmpdir() },
      help: { type: 'boolean', default: false },
    },
  });
  const mib = values.mib === undefined ? undefined : Number(values.mib);
  if (mib !== undefined && !(Number.isInteger(mib) && mib >= 1)) {
    throw new Error(`--mib ${values.mib}: a whole number of MiB is wanted, such as 1024`);
  }
  const sizes = values.sizes?.split(',').map(Number);
  if (sizes?.every((count, n) => Number.isInteger(count) && count >= (sizes[n - 1] ?? FEWEST)) === false) {
    throw new Error(
      `--sizes ${values.sizes}: whole numbers of ${FEWEST} or more are wanted, the fewest first`,
    );
  }
  const { help, only, json, svg, history, folder, tiny, quick } = values;
  return {
    help,
    only,
    mib,
    sizes,
    json,
    svg,
    history,
    folder,
    size: tiny ? 'tiny' : quick ? 'quick' : 'full',
  };
}
