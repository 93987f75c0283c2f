import { readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Dind, startDind, withParts } from '@morpheo/real-parts';
import ava from 'ava';
import { collectTree } from '../outputs.ts';
import { openBench } from './conformance/bench.ts';
import { testContainerRuntime } from './conformance.ts';
import { dockerHarness } from './docker/testing/harness.ts';

let dind: Promise<Dind> | undefined;

/** A daemon that sees none of our folders. */
async function daemon() {
  dind ??= startDind();
  return { host: `unix://${(await dind).socketPath}` };
}

ava.after.always(async () => await (await dind)?.[Symbol.asyncDispose]());

const test = withParts(ava, 'docker');
const harness = dockerHarness(daemon, { data: 'archive' });
testContainerRuntime(harness, test);

test.serial('A daemon that sees no folder of ours gets archives without being told', async (t) => {
  await using bench = await openBench(dockerHarness(daemon));
  const mount = await bench.mount('/data/out');
  await writeFile(join(mount.host, 'old'), 'old');
  const sh = 'rm "$2/old"; mkdir -p "$2/a/b"; echo new > "$2/a/b/file"; chmod 700 "$2/a"';
  const result = await bench.run({ sh }, { args: ['/data/out'], mounts: [mount] });
  t.is(result.exitCode, 0, result.stderr);
  const limits = { bytes: 1000, files: 10, depth: 5, pathBytes: 100 };
  t.deepEqual(await collectTree(mount.host, { limits, at: '/data/out' }), [{ path: 'a/b/file', size: 4 }]);
});

test.serial('What comes back in an archive is no less hostile, and no more', async (t) => {
  await using bench = await openBench(harness);
  const mount = await bench.mount('/data/out');
  await writeFile(join(mount.host, 'kept'), 'kept');
  await symlink('/etc/passwd', join(mount.host, 'ours'));
  const sh = 'cd "$2"; ln kept twice; ln -s /etc/passwd link; ln -s / root; mkfifo fifo; ls';
  const { stdout } = await bench.run({ sh }, { args: ['/data/out'], mounts: [mount] });
  t.notRegex(stdout, /ours/, 'links of ours stay here');
  t.is(await readFile(join(mount.host, 'twice'), 'utf8'), 'kept');
  const limits = { bytes: 1000, files: 10, depth: 5, pathBytes: 100 };
  const error = await t.throwsAsync(collectTree(mount.host, { limits, at: '/data/out' }));
  t.like(error, { failure: { reason: 'invalid_result' } });
  for (const name of ['link', 'root', 'fifo']) {
    await t.throwsAsync(stat(join(mount.host, name)), { code: 'ENOTDIR' }, `${name} leads nowhere`);
  }
});

test.serial('More than may come back is a full disk', async (t) => {
  await using bench = await openBench(harness);
  const mount = await bench.mount('/data/out');
  const limits = { diskBytes: 1_000_000 };
  const sh = 'dd if=/dev/zero of="$2/sparse" bs=1 count=1 seek=5000000';
  t.is((await bench.run({ sh }, { args: ['/data/out'], mounts: [mount], limits })).ended, 'disk_full');
  t.deepEqual(await bench.leftovers(), []);
});
