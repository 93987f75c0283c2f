import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { sampleSize } from '@morpheo/real-parts';
import { makeLoopDisk, powerCutTest } from './loop-disk.ts';

const CUTS = sampleSize('CUTS', { small: 3, full: 40 });
/** Rows to answer before each cut: the log is begun again some times on the way. */
const ENOUGH = 200;
const FIXTURE = fileURLToPath(new URL('log-writer.fixture.ts', import.meta.url));

powerCutTest('Rows that were answered survive power cuts while the log is moved into the file', async (t) => {
  t.timeout(600_000);
  const answered = new Set<string>();
  let disk = await makeLoopDisk(64);
  try {
    for (let cut = 0; cut <= CUTS; cut += 1) {
      const writer = startWriter(join(disk.folder, 'database.sqlite'));
      const kept = await writer.kept;
      t.deepEqual(
        [...answered].filter((id) => !kept.has(id)),
        [],
      );
      if (cut < CUTS) await writer.enough;
      for (const id of await writer.kill()) answered.add(id);
      disk = await disk.cut();
    }
  } finally {
    await disk[Symbol.asyncDispose]();
  }
  t.log(`${CUTS} power cuts: ${answered.size} rows answered, none lost`);
});

/** A process that writes to a file; `kept`: the rows that it found there. */
function startWriter(file: string) {
  const child = spawn(process.execPath, [FIXTURE, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const found = new Set<string>();
  const kept = Promise.withResolvers<ReadonlySet<string>>();
  const enough = Promise.withResolvers<void>();
  const answered: string[] = [];
  const most = ENOUGH + Math.random() * ENOUGH;
  createInterface(child.stdout).on('line', (line) => {
    if (line === 'open') return kept.resolve(found);
    if (line.startsWith('kept ')) return found.add(line.slice('kept '.length));
    answered.push(line);
    if (answered.length > most) enough.resolve();
  });
  child.on('close', () => {
    const gone = new Error('The writer has ended by itself');
    kept.reject(gone);
    enough.reject(gone);
  });
  return {
    kept: kept.promise,
    enough: enough.promise,
    /** Kills it, and resolves with the rows that it has answered. */
    async kill() {
      enough.promise.catch(() => undefined);
      const closed = once(child, 'close');
      child.kill('SIGKILL');
      await closed;
      return answered;
    },
  };
}
