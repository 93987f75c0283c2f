import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { CrewWorkerSettings } from './crew-worker.ts';

const WORKER = fileURLToPath(new URL('crew-worker.ts', import.meta.url));

/** A worker process of a test. */
export interface CrewProcess extends AsyncDisposable {
  /** The worker's id: the same after a start. */
  readonly id: string;
  /** How often its process has ended by itself, or was killed. */
  readonly deaths: number;
  /** SIGKILL; with `forGood` it is not started again. */
  kill(how?: { readonly forGood: boolean }): Promise<void>;
}

/** Starts a worker process that is started again, as a supervisor does it, whenever it ends. */
export function startCrewProcess(settings: Omit<CrewWorkerSettings, 'id'>): CrewProcess {
  const id = randomUUID();
  let deaths = 0;
  let wanted: 'up' | 'down' = 'up';
  let child = run();

  function run(): ChildProcess {
    const started = spawn(process.execPath, [WORKER, JSON.stringify({ ...settings, id })], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    started.once('exit', () => {
      deaths += 1;
      if (wanted === 'up') child = run();
    });
    return started;
  }

  async function kill(how?: { readonly forGood: boolean }): Promise<void> {
    if (how?.forGood === true) wanted = 'down';
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  return {
    id,
    get deaths() {
      return deaths;
    },
    kill,
    [Symbol.asyncDispose]: async () => await kill({ forGood: true }),
  };
}
