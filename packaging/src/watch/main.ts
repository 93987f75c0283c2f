import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { WatchedFolders } from './folders.ts';

/**
 * Runs a program of Node and starts it again whenever a source file in one of the folders changes:
 * `main.ts <program> <folder>...`. One that ends by itself, as with a syntax error, waits for the next change.
 */
const [program = '', ...folders] = process.argv.slice(2);
if (folders.length === 0) throw new Error('Usage: main.ts <program> <folder>...');

/** Changes that come together, as with another branch, are one. In milliseconds. */
const TOGETHER_MS = 100;

let child: ChildProcess | undefined;
let soon: NodeJS.Timeout | undefined;
let turn: Promise<void> = Promise.resolve();

const watched = new WatchedFolders(folders, (file) => {
  clearTimeout(soon);
  soon = setTimeout(() => {
    process.stdout.write(`${file} changed: ${program} starts again\n`);
    turn = turn.then(restart);
  }, TOGETHER_MS);
});

/** What changes from the first line on is heard; so what the program then reads is the newest. */
async function restart(): Promise<void> {
  await watched.watch();
  await stop();
  child = spawn(process.execPath, [program], { stdio: 'inherit' });
  child.on('exit', (code) => {
    if (code !== null && code !== 0)
      process.stdout.write(`${program} ended with ${code}: waiting for a change\n`);
  });
}

async function stop(): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    clearTimeout(soon);
    watched[Symbol.dispose]();
    turn = turn.then(stop).then(() => process.exit(0));
  });
}

turn = restart();
await turn;
