import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** What the whole platform in one process takes while nobody asks anything of it. */
export interface AtRest {
  /** Until it listens, in milliseconds. */
  readonly startMs: number;
  /** Of a core, from 0 to 1. */
  readonly cpu: number;
  /** How often its main thread waits and goes on, in a second. */
  readonly wakeUps: number;
  readonly memoryBytes: number;
}

/** Linux counts the time of a process in hundredths of a second. */
const TICKS = 100;

/** Starts the platform as `morpheo up` does, on an empty folder, lets it come to rest, and looks at it for `ms`. */
export async function measureAtRest(folder: string, settleMs: number, ms: number): Promise<AtRest> {
  const started = performance.now();
  const child = spawn(process.execPath, [...PLATFORM, '--home', folder, ...ANY_PORTS], {
    stdio: ['ignore', 'ignore', 2, 'ipc'],
  });
  try {
    await listening(child, folder);
    const startMs = performance.now() - started;
    await pause(settleMs);
    const before = await lookAt(child);
    await pause(ms);
    const after = await lookAt(child);
    return {
      startMs,
      cpu: (after.cpuSeconds - before.cpuSeconds) / (ms / 1000),
      wakeUps: (after.wakeUps - before.wakeUps) / (ms / 1000),
      memoryBytes: after.memoryBytes,
    };
  } finally {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  }
}

const PLATFORM = ['--max-semi-space-size=4', fileURLToPath(import.meta.resolve('@morpheo/standalone/main'))];
const ANY_PORTS = ['--storage-port', '0', '--compute-port', '0', '--orchestrator-port', '0'];

async function listening(child: ChildProcess, folder: string): Promise<void> {
  while (!(await isThere(join(folder, 'connection.json')))) {
    if (child.exitCode !== null) throw new Error(`The platform ended with ${child.exitCode}; see above.`);
    await pause(10);
  }
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

async function lookAt({ pid }: ChildProcess) {
  const of = async (file: string) => await readFile(`/proc/${pid}/${file}`, 'latin1');
  // After the name, which may have spaces: user and system time are the 12th and 13th member.
  const times = (await of('stat')).split(') ')[1]?.split(' ') ?? [];
  const status = await of('status');
  const figure = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
  return {
    cpuSeconds: (Number(times[11]) + Number(times[12])) / TICKS,
    wakeUps: figure('voluntary_ctxt_switches'),
    memoryBytes: figure('VmRSS') * 1024,
  };
}
