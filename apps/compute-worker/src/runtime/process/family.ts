import { PlatformError, sleep } from '@morpheo/common';
import {
  environmentHolds,
  listPids,
  outputsOf,
  type PidCounter,
  type ProcessEntry,
  readPidCounter,
  readProcesses,
} from './process-table.ts';

/** The variable in the environment of every run, by which its processes are found. */
export const MARKER = 'MORPHEO_RUN';

const GIVE_UP_MS = 30_000;
/** Pids are handed out in turn, up to 32,768 at least: after fewer than these they have not gone round. */
const NOT_ROUND = 16_384;
const PAUSE_MS = [1, 2, 5, 10, 20, 50, 100, 200];

/**
 * The processes of a run, whatever they do to get away: those that a known one started, their sessions and process
 * groups, those that carry the mark in their environment, and those that print to where the first one did. A process
 * that leaves all of these behind at once between two looks (a daemon with an empty environment, its output closed)
 * is not found, nor is a daemon with an empty environment whose first process had ended before it was looked at once:
 * that takes intent, and a runtime that isolates.
 */
export class Family {
  readonly #marker: string;
  /** By pid, with the start time, so that another process of the same pid is not taken for it. */
  readonly #known = new Map<number, number>();
  #leader: number | undefined;
  /** As it was when the leader was there. */
  #counter: PidCounter | undefined;
  #outputs: readonly string[] = [];
  /** As it was before the last looks for relatives, the later one first. */
  #looks: readonly (PidCounter | undefined)[] = [];
  /** Those that the last look has found. */
  #living: readonly number[] = [];

  /** `marker` is what follows `MORPHEO_RUN=` in the environment of the run's processes, or the beginning of that. */
  constructor(marker: string) {
    this.#marker = marker;
  }

  /** Tells the process that all others of the run come from, as soon as it is started; its output is the run's. */
  lead(pid: number): void {
    this.#leader = pid;
    this.#counter = readPidCounter();
    this.#outputs = outputsOf(pid).filter((output) => /^(socket|pipe):/.test(output));
  }

  /** Those that live and are known by descent, session or group. Cheap enough to be asked several times a second. */
  relatives(): ProcessEntry[] {
    const all = this.#knownAndNew();
    const found = this.#close(all, new Set(this.#stillKnown(all)));
    this.#living = found.map(({ pid }) => pid);
    return found;
  }

  /** Those that live and are known by anything: looks into every process that is not older than the run. */
  members(): ProcessEntry[] {
    const all = this.#candidates();
    const found = new Set(this.#stillKnown(all));
    for (const entry of all.values()) {
      if (!found.has(entry) && this.#carriesMark(entry.pid)) found.add(entry);
    }
    return this.#close(all, found);
  }

  /**
   * Kills all members again and again until none is left; resolves with how many there were. Rejects with `internal`
   * where some cannot be killed within 30 seconds: they hang in the kernel, or belong to another user.
   */
  async end(): Promise<number> {
    const start = performance.now();
    const killed = new Set<number>();
    for (let round = 0; ; round += 1) {
      const members = this.members();
      if (members.length === 0) return killed.size;
      for (const member of members) {
        killed.add(member.pid);
        kill(member);
      }
      if (performance.now() - start > GIVE_UP_MS) {
        const pids = members.map((member) => member.pid).slice(0, 20);
        throw new PlatformError('internal', `Processes of a run cannot be killed: ${pids.join(', ')}.`);
      }
      await sleep(PAUSE_MS[Math.min(round, PAUSE_MS.length - 1)] ?? 0);
    }
  }

  /** All that may be of the run: the pids of what was started since the leader lie between its own and the latest. */
  #candidates(): Map<number, ProcessEntry> {
    const pids = listPids();
    const [leader, before] = [this.#leader, this.#counter];
    if (leader === undefined || before === undefined) return readProcesses(pids);
    // Read after the list, so that nothing in that is later.
    const now = readPidCounter();
    const isInTurn = now !== undefined && now.latest >= leader && now.count - before.count < NOT_ROUND;
    return readProcesses(isInTurn ? pids.filter((pid) => pid >= leader && pid <= now.latest) : pids);
  }

  /**
   * All that may be relatives. Of what was there at the last look nothing else becomes one; what is new has a pid beyond the
   * latest at the look before that, since a process that is just being started is in no list yet.
   */
  #knownAndNew(): Map<number, ProcessEntry> {
    const now = readPidCounter();
    const [last, earlier] = this.#looks;
    this.#looks = [now, last];
    if (now === undefined || last === undefined || earlier === undefined) return this.#candidates();
    if (now.count === last.count) return readProcesses(this.#living);
    const isInTurn = now.latest >= earlier.latest && now.count - earlier.count < NOT_ROUND;
    if (!isInTurn) return this.#candidates();
    const added = listPids().filter((pid) => pid > earlier.latest);
    return readProcesses([...new Set([...this.#living, ...added])]);
  }

  #stillKnown(all: ReadonlyMap<number, ProcessEntry>): ProcessEntry[] {
    const leader = this.#leader === undefined ? undefined : all.get(this.#leader);
    const living = [...this.#known].map(([pid, started]) => {
      const entry = all.get(pid);
      return entry?.started === started ? entry : undefined;
    });
    return [leader, ...living].filter((entry) => entry !== undefined);
  }

  /** Adds the children, sessions and groups of what was found, until that finds nothing new; remembers all. */
  #close(all: ReadonlyMap<number, ProcessEntry>, found: Set<ProcessEntry>): ProcessEntry[] {
    for (let before = -1; before !== found.size; ) {
      before = found.size;
      for (const entry of found) this.#known.set(entry.pid, entry.started);
      for (const entry of all.values()) {
        if (!found.has(entry) && this.#isRelated(entry, all)) found.add(entry);
      }
    }
    return [...found].filter((entry) => !isWorker(entry.pid));
  }

  /** A session or group counts only if a process of the run has founded it: it then has that process's pid. */
  #isRelated(entry: ProcessEntry, all: ReadonlyMap<number, ProcessEntry>): boolean {
    return [entry.parent, entry.session, entry.group].some((pid) => {
      const started = this.#known.get(pid);
      if (started === undefined) return false;
      return (all.get(pid)?.started ?? started) === started && entry.started >= started;
    });
  }

  #carriesMark(pid: number): boolean {
    if (isWorker(pid)) return false;
    if (environmentHolds(pid, `${MARKER}=${this.#marker}`)) return true;
    return this.#outputs.length > 0 && outputsOf(pid).some((output) => this.#outputs.includes(output));
  }
}

function kill(member: ProcessEntry): void {
  // A group at once, where it is one of the run's: what is forked meanwhile is killed with it.
  if (member.group === member.pid) signal(-member.group);
  signal(member.pid);
}

/** The worker itself, and what started it, are never part of a run. */
function isWorker(pid: number): boolean {
  return pid === process.pid || pid === process.ppid || pid <= 1;
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already, or another user's: the next look tells.
  }
}
