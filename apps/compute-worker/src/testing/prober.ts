/**
 * A program for containers: a careless problem and a hostile algorithm in one, by the arguments that it gets. Before
 * it does its work it looks for marks (see marks.ts) in all that it can reach, and prints where it found them; after
 * it, as an algorithm, it leaves a mark of its own in every place that it can write to.
 *
 * It runs as it stands here, its types stripped, with nothing beside it but what node has.
 */
import {
  appendFileSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** Where there is no container, the same file stands somewhere below the run's own folder. */
const IN_CONTAINER = process.argv[1] === '/app/main.ts';
const NEEDLE = '-mark-';
const MARK = /[a-z]+-mark-[0-9a-f]{32}/g;
const LONGEST = 64;
const CHUNK = Buffer.alloc(1024 * 1024);
/** Of a file that the kernel makes up as it is read: some have no end. */
const MADE_UP_BYTES = 1024 * 1024;
/** What every process finds in itself, the marks that it has read being in its memory. */
const OWN_MEMORY = /^\/proc\/(self|thread-self|\d+)\/(task\/\d+\/)?(mem|pagemap|clear_refs|kpage\w+)$/;

const found = new Set<string>();
const writable: string[] = [];
const skipped = process.env.PROBE_SKIP?.split(':') ?? [];
const counts = { files: 0, folders: 0, refused: 0, seconds: 0 };

function note(text: string, where: string): void {
  for (const [mark] of text.matchAll(MARK)) found.add(`${mark} at ${where}`);
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    counts.refused += 1;
    return undefined;
  }
}

/** Reads a range of what is open, in pieces that overlap so that no mark falls between them. */
function search(file: number, where: string, from: number | null, bytes: number): void {
  let kept = 0;
  let position = from;
  for (let left = bytes; left > 0; ) {
    const length = Math.min(CHUNK.length - kept, left);
    const read = attempt(() => readSync(file, CHUNK, kept, length, position)) ?? 0;
    if (read === 0) return;
    const end = kept + read;
    if (CHUNK.subarray(0, end).includes(NEEDLE)) note(CHUNK.toString('latin1', 0, end), where);
    kept = Math.min(LONGEST, end);
    CHUNK.copyWithin(0, end - kept, end);
    left -= read;
    if (position !== null) position += read;
  }
}

function searchFile(path: string): void {
  const file = attempt(() => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
  if (file === undefined) return;
  counts.files += 1;
  try {
    const isMadeUp = !fstatSync(file).isFile() || /^\/(proc|sys)\//.test(path);
    search(file, path, null, isMadeUp ? MADE_UP_BYTES : Number.POSITIVE_INFINITY);
  } finally {
    closeSync(file);
  }
}

/** The memory of another process, where the kernel hands it out. */
function searchMemory(process: string): void {
  const maps = attempt(() => readFileSync(`/proc/${process}/maps`, 'latin1')) ?? '';
  const memory = attempt(() => openSync(`/proc/${process}/mem`, constants.O_RDONLY));
  if (memory === undefined) return;
  for (const [, from = '', to = ''] of maps.matchAll(/^([0-9a-f]{1,12})-([0-9a-f]{1,12}) r/gm)) {
    const start = Number.parseInt(from, 16);
    search(memory, `/proc/${process}/mem`, start, Math.min(Number.parseInt(to, 16) - start, 2 ** 26));
  }
  closeSync(memory);
}

/** Everything below these folders, and what links in /proc lead to, each folder once. */
function walk(roots: readonly string[]): void {
  const known = new Set<string>();
  const waiting = [...roots];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const at = path;
    if (skipped.includes(at)) continue;
    const stats = attempt(() => lstatSync(at, { bigint: true }));
    if (stats === undefined) continue;
    note(at, 'a name');
    if (stats.isDirectory()) {
      const id = `${stats.dev}:${stats.ino}`;
      if (known.has(id)) continue;
      known.add(id);
      counts.folders += 1;
      writable.push(at);
      for (const name of attempt(() => readdirSync(at)) ?? []) waiting.push(join(at, name));
    } else if (stats.isSymbolicLink()) {
      note(attempt(() => readlinkSync(at)) ?? '', at);
      // The way into the files of another process.
      if (/^\/proc\/\d+\/(root|cwd)$/.test(at)) waiting.push(`${at}/.`);
      if (/^\/proc\/\d+\/fd\/\d+$/.test(at) && !at.startsWith(`/proc/${process.pid}/`)) searchFile(at);
    } else if (!OWN_MEMORY.test(at)) {
      searchFile(at);
      if (stats.isFile() && !/^\/(proc|sys)\//.test(at)) writable.push(at);
    }
  }
}

/** Leaves a mark wherever that can be: in every folder, and at the end of every file. */
function leave(mark: string): number {
  let left = 0;
  const isOurs = (path: string) => mounts.some((mount) => path === mount || path.startsWith(`${mount}/`));
  for (const path of writable.filter((path) => IN_CONTAINER || isOurs(path))) {
    if (/^\/(proc|sys|dev\/pts)/.test(path)) continue;
    const isFolder = attempt(() => lstatSync(path).isDirectory()) ?? false;
    const target = isFolder ? join(path, 'left-behind') : path;
    if (attempt(() => appendFileSync(target, `\n${mark}\n`) ?? true) === true) left += 1;
  }
  return left;
}

/** The files of a folder, without those of folders in it. */
function filesOf(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && entry.name !== 'left-behind').map((entry) => entry.name);
}

function lines(path: string): string[] {
  return readFileSync(path, 'utf8').split('\n');
}

/** Hands on the first line of every test file; the second is its target. What it saw it leaves lying about. */
function detarget(hidden: string, submission: string): void {
  for (const name of filesOf(join(hidden, 'test'))) {
    const [shown = '', target = ''] = lines(join(hidden, 'test', name));
    writeFileSync(join(submission, 'test', name), shown);
    const places = [process.env.HOME, ...(IN_CONTAINER ? ['/tmp', '/dev/shm', '/keep'] : [])];
    for (const place of places.filter((one) => one !== undefined)) {
      attempt(() => appendFileSync(join(place, 'careless'), target));
    }
  }
}

function perf(hidden: string, submission: string): void {
  const score = (folder: string) => Object.fromEntries(filesOf(folder).map((name) => [name, 1]));
  const test_perf = score(join(hidden, 'test'));
  const performance = { perf: 1, train_perf: score(join(submission, 'train')), test_perf };
  writeFileSync(join(hidden, 'perf/performance.json'), JSON.stringify(performance));
  for (const name of filesOf(join(hidden, 'test'))) {
    appendFileSync(join(hidden, 'perf/notes'), readFileSync(join(hidden, 'test', name)));
  }
}

/** Writes the model and the predictions, and in them a mark that is drawn here and nowhere else. */
function compute(volume: string, task: string): void {
  const mark = `carried-mark-${crypto.randomUUID().replaceAll('-', '')}`;
  if (task === 'train') writeFileSync(join(volume, 'model/model_trained.json'), JSON.stringify({ mark }));
  console.log(`left ${leave(mark)} marks`);
  for (const folder of task === 'train' ? ['train', 'test'] : ['test']) {
    mkdirSync(join(volume, folder, 'pred'), { recursive: true });
    for (const name of filesOf(join(volume, folder))) writeFileSync(join(volume, folder, 'pred', name), mark);
  }
}

/** The value after a flag of one letter. */
function flag(name: string): string | undefined {
  const at = process.argv.indexOf(name);
  return at === -1 ? undefined : process.argv[at + 1];
}

/**
 * Where a walk begins: in a container at its root. A plain process of the machine stays within what it was given: its
 * own folders, and as many above as it is told to climb.
 */
function rootsOf(volumes: readonly string[]): string[] {
  if (IN_CONTAINER) return ['/'];
  const own = [process.cwd(), dirname(process.argv[1] ?? '.'), process.env.HOME, process.env.TMPDIR];
  const up = Number(process.env.PROBE_UP ?? 0);
  const climbed = up === 0 ? [] : [join(process.cwd(), '../'.repeat(up))];
  return [...own.filter((path) => path !== undefined), ...climbed, ...volumes];
}

/** The folders of a volume, behind the links that stand for mounts where there is no container. */
function mountsOf(volumes: readonly string[]): string[] {
  return volumes.flatMap((volume) =>
    (attempt(() => readdirSync(volume)) ?? []).flatMap((name) => {
      const path = attempt(() => realpathSync(join(volume, name)));
      return path === undefined ? [] : [path];
    }),
  );
}

const task = flag('-T') ?? 'build';
const [volume = '', hidden = '', submission = ''] = [flag('-V'), flag('-i'), flag('-s')];
const mounts = mountsOf([volume, hidden, submission].filter((path) => path !== ''));
note(JSON.stringify(process.env), 'the environment');
note(process.argv.join(' '), 'the arguments');
walk(rootsOf(mounts));
if (IN_CONTAINER) {
  const others = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
  for (const other of others) searchMemory(other);
}
counts.seconds = process.uptime();
console.log(`walked ${JSON.stringify(counts)}`);
for (const line of found) console.log(`found ${line}`);
if (task === 'detarget') detarget(hidden, submission);
else if (task === 'perf') perf(hidden, submission);
else if (task !== 'build') compute(volume, task);
if (process.env.PROBE_STAYS !== undefined && task === 'train') {
  console.log('stays');
  setInterval(() => undefined, 1000);
}
