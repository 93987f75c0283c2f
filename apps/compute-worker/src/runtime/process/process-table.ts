import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** A living process of this machine, from `/proc/<pid>/stat` (Linux, proc_pid_stat(5)). */
export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** Clock ticks from the machine's start to the process's: with the pid, it names a process for good. */
  readonly started: number;
  /** User and system time of the process and of its children that have ended, in seconds. */
  readonly cpuSeconds: number;
}

/** Every kernel that Node runs on tells time to user space in 1/100 s (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** The pids that are in use now, also those of what is dead and only not yet reaped. */
export function listPids(): number[] {
  return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

/** Those of these processes that live, by pid; what is dead and only not yet reaped is not among them. */
export function readProcesses(pids: readonly number[]): Map<number, ProcessEntry> {
  const found = new Map<number, ProcessEntry>();
  for (const pid of pids) {
    const entry = readEntry(pid);
    if (entry !== undefined) found.set(pid, entry);
  }
  return found;
}

/** How far the kernel is with handing out pids. */
export interface PidCounter {
  /** The pid that was handed out last, among those that this process sees. */
  readonly latest: number;
  /** How many were handed out since the machine started, in all. */
  readonly count: number;
}

/** Undefined where the kernel does not tell. Sources: proc_loadavg(5), proc_stat(5). */
export function readPidCounter(): PidCounter | undefined {
  const latest = Number(readProc('/proc/loadavg')?.toString('latin1').trim().split(' ')[4]);
  const count = Number(/^processes (\d+)$/m.exec(readProc('/proc/stat')?.toString('latin1') ?? '')?.[1]);
  return latest > 0 && count > 0 ? { latest, count } : undefined;
}

function readEntry(pid: number): ProcessEntry | undefined {
  const text = readProc(`/proc/${pid}/stat`)?.toString('latin1');
  if (text === undefined) return undefined;
  // The program's name comes second, in parentheses, and may hold anything: what follows it is plain.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const at = (field: number) => Number(fields[field - 3]);
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  const ticks = at(14) + at(15) + at(16) + at(17);
  return {
    pid,
    parent: at(4),
    group: at(5),
    session: at(6),
    started: at(22),
    cpuSeconds: ticks / TICKS_PER_SECOND,
  };
}

/** Whether the environment that a process was started with holds this text. */
export function environmentHolds(pid: number, text: string): boolean {
  return readProc(`/proc/${pid}/environ`)?.includes(text) ?? false;
}

/** What stdout and stderr of a process lead to, by the names that the kernel gives it, such as `socket:[4711]`. */
export function outputsOf(pid: number): string[] {
  return [1, 2].flatMap((descriptor) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${descriptor}`);
    } catch {
      return [];
    }
  });
}

/** The memory of a process, in bytes. */
export interface ProcessMemory {
  /** Resident now, pages shared with others included. */
  readonly resident: number;
  /** The most that was ever resident. */
  readonly peak: number;
  /** Resident now and not backed by a file. */
  readonly own: number;
}

/** What memory a process takes; undefined where it has ended. */
export function readMemory(pid: number): ProcessMemory | undefined {
  const text = readProc(`/proc/${pid}/status`)?.toString('latin1');
  if (text === undefined) return undefined;
  const bytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { resident: bytes('VmRSS'), peak: bytes('VmHWM'), own: bytes('RssAnon') + bytes('RssShmem') };
}

/**
 * The memory of a process without a file behind it, pages shared with its relatives counted in parts, in bytes;
 * undefined where the kernel does not tell. Takes long for large processes.
 */
export function readSharedMemory(pid: number): number | undefined {
  const text = readProc(`/proc/${pid}/smaps_rollup`)?.toString('latin1');
  const sums = ['Pss_Anon', 'Pss_Shmem'].map(
    (name) => new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text ?? '')?.[1],
  );
  if (sums.some((sum) => sum === undefined)) return undefined;
  return sums.reduce((total, sum) => total + Number(sum) * 1024, 0);
}

/** Processes end at any moment, and those of other users do not tell everything: neither is an error. */
function readProc(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
