import test from 'ava';
import { type EntryFile, withReason } from './entry-file.ts';

const DYNAMIC = '\x7fELF\x02\x01\x01 /lib64/ld-linux-x86-64.so.2\0';
const FILES: Readonly<Record<string, string>> = {
  '/bin/sh': '\x7fELF',
  '/usr/bin/env': '\x7fELF',
  '/bin/python3': '\x7fELF',
  '/app/good.sh': '#!/bin/sh\necho hi\r\n',
  '/app/windows.sh': '#!/bin/sh\r\necho hi\r\n',
  '/app/wide.sh': '\xff\xfe#\0!\0',
  '/app/marked.sh': '\xef\xbb\xbf#!/bin/sh\n',
  '/app/bash.sh': '#!/bin/bash -e\necho hi\n',
  '/app/ruby': '#!/usr/bin/env ruby\n',
  '/app/python': '#!/usr/bin/env python3\n',
  '/app/text': 'echo hi\n',
  '/app/glibc': DYNAMIC,
};

async function look(path: string): Promise<EntryFile> {
  if (path === '/app') return { kind: 'folder' };
  const text = FILES[path] ?? (path === '/app/plain' ? 'x' : undefined);
  if (text === undefined) return { kind: 'absent' };
  return { kind: 'file', executable: path !== '/app/plain', head: Buffer.from(text, 'latin1') };
}

async function reasonOf(words: readonly string[], exitCode = 127): Promise<string | undefined> {
  const mounts = [{ container: '/data' }];
  const entry = { words, searchPath: '/usr/bin:/bin', workingFolder: '/app', mounts, look };
  return (await withReason({ ended: 'exited', exitCode, seconds: 0 }, entry)).notStarted;
}

/** What of an entry point is told, by what it is. */
const TOLD: readonly (readonly [words: readonly string[], told: RegExp])[] = [
  [['/app/windows.sh'], /^ENTRYPOINT of the Dockerfile: \/app\/windows\.sh has lines that end with CR LF/],
  [['./windows.sh'], /CR LF.*save it with LF alone\.$/],
  [['sh', '/app/windows.sh'], /: \/app\/windows\.sh has lines that end with CR LF/],
  [['/app/wide.sh'], /is UTF-16 text: save it as UTF-8/],
  [['python3', 'wide.sh'], /: wide\.sh is UTF-16 text/],
  [['/app/marked.sh'], /byte order mark/],
  [['/app/bash.sh'], /needs \/bin\/bash by its first line, which is not in the image/],
  [['/app/ruby'], /needs ruby by its first line/],
  [['/app/text'], /neither a program nor a script/],
  [['/app/plain'], /may not be executed: COPY it with --chmod=755/],
  [['/app/glibc'], /needs \/lib64\/ld-linux-x86-64\.so\.2, .*built for another Linux/],
  [['/app'], /is a folder/],
  [['/app/none'], /is not in the image: COPY it/],
  [['none'], /none is in no folder of the PATH/],
  [['python3', '/app/none.py'], /: \/app\/none\.py is not in the image/],
];

for (const [words, told] of TOLD) {
  test(`Why it could not be started is told of ${words.join(' ')}`, async (t) =>
    t.regex((await reasonOf(words)) ?? '', told));
}

test('Nothing is told of what can be run, of data, and of other ends', async (t) => {
  for (const words of [
    ['/app/good.sh'],
    ['/app/python'],
    ['sh', 'good.sh'],
    ['python3'],
    ['/data/none'],
    ['sh', '/data/none.sh'],
  ])
    t.is(await reasonOf(words), undefined, words.join(' '));
  t.is(await reasonOf(['/app/windows.sh'], 1), undefined);
  t.regex((await reasonOf(['sh', 'windows.sh'], 2)) ?? '', /CR LF/);
  t.is(await reasonOf(['/app/none'], 2), undefined);
});
