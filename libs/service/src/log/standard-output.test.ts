import { execFile, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { LogOutput, type WriteBytes } from './standard-output.ts';

const PROGRAM = fileURLToPath(new URL('standard-output.fixture.ts', import.meta.url));

function failing(code: string): Error {
  return Object.assign(new Error(code), { code });
}

function outputOn(write: WriteBytes) {
  const troubles: string[] = [];
  return { output: new LogOutput(write, (problem) => troubles.push(problem)), troubles };
}

/** Has a service of its own log so many lines into a descriptor, which is closed here. */
async function logInto(descriptor: number, lines: number): Promise<{ errors: string; code: number }> {
  const stdio: StdioOptions = ['ignore', descriptor, 'pipe'];
  const child = spawn(process.execPath, [PROGRAM, String(lines)], { stdio });
  closeSync(descriptor);
  const closed = once(child, 'close') as Promise<[number]>;
  const errors = child.stderr === null ? '' : await text(child.stderr);
  return { errors, code: (await closed)[0] };
}

test('Lines that a full pipe does not take wait, and come whole and in order once it does', (t) => {
  let room = 7;
  const taken: Buffer[] = [];
  const { output, troubles } = outputOn((bytes) => {
    if (room === 0) throw failing('EAGAIN');
    const part = Buffer.from(bytes.subarray(0, room));
    room -= part.length;
    taken.push(part);
    return part.length;
  });
  for (const line of ['one\n', 'two\n', 'three\n']) output.write(line);
  t.is(Buffer.concat(taken).toString(), 'one\ntwo');
  room = 100;
  output.flush();
  t.is(Buffer.concat(taken).toString(), 'one\ntwo\nthree\n');
  t.deepEqual([output.dropped, troubles], [0, []]);
});

test('Beyond a bound the lines that nobody reads are dropped and counted, and the trouble is told once', (t) => {
  const { output, troubles } = outputOn(() => {
    throw failing('EAGAIN');
  });
  const line = `${'x'.repeat(1023)}\n`;
  for (let n = 0; n < 1030; n += 1) output.write(line);
  t.is(output.dropped, 6);
  t.deepEqual(troubles, ['its reader stands still']);
});

test('A disk that is full costs the lines of that time alone, and what was cut does not spoil the next line', (t) => {
  const taken: string[] = [];
  let full: 'no' | 'soon' | 'yes' = 'no';
  const { output, troubles } = outputOn((bytes) => {
    if (full === 'yes') throw failing('ENOSPC');
    const part = full === 'soon' ? bytes.subarray(0, 3) : bytes;
    if (full === 'soon') full = 'yes';
    taken.push(part.toString());
    return part.length;
  });
  output.write('first\n');
  full = 'soon';
  output.write('second\n');
  output.write('third\n');
  full = 'no';
  output.write('fourth\n');
  t.is(taken.join(''), 'first\nsec\nfourth\n');
  t.is(output.dropped, 2);
  t.deepEqual(troubles, ['ENOSPC']);
});

test('A service whose log lies on a full disk goes on, and says on standard error that lines are dropped', async (t) => {
  const full = openSync('/dev/full', 'w');
  const { errors, code } = await logInto(full, 200);
  t.is(code, 0);
  t.regex(
    errors,
    /^The log cannot be written \(ENOSPC[^\n]*\): lines are dropped until it can\.\nwent on, \d+ dropped\n$/,
  );
});

test('A service whose log nobody reads goes on: lines wait, then are dropped', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-log-'));
  const fifo = join(folder.path, 'fifo');
  await promisify(execFile)('mkfifo', [fifo]);
  // It has a reader, which never reads.
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(fifo, 'w');
  const { errors, code } = await logInto(writer, 20000);
  closeSync(reader);
  t.is(code, 0);
  t.regex(errors, /its reader stands still[\s\S]*went on, \d\d+ dropped\n$/);
});
