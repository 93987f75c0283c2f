import { readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openSharedDind, type SharedDind, withParts } from '@morpheo/real-parts';
import ava from 'ava';
import { collectTree } from '../../../outputs/collect.ts';
import { testContainers } from '../../conformance/index.ts';
import { openFixture } from '../../conformance/runtime-fixture.ts';
import { dockerHarness } from '../testing/harness.ts';

let dind: Promise<SharedDind> | undefined;

/** A daemon that sees none of our folders. */
async function daemon() {
  dind ??= openSharedDind();
  return { host: `unix://${(await dind).socketPath}` };
}

ava.after.always(async () => await (await dind)?.[Symbol.asyncDispose]());

const test = withParts(ava, 'docker');
const harness = dockerHarness(daemon, { data: 'archive' });
testContainers(harness, test);

test.serial('A daemon that sees no folder of ours gets archives without being told', async (t) => {
  await using fixture = await openFixture(dockerHarness(daemon));
  const mount = await fixture.mount('/data/out');
  await writeFile(join(mount.host, 'old'), 'old');
  const sh = 'rm "$2/old"; mkdir -p "$2/a/b"; echo new > "$2/a/b/file"; chmod 700 "$2/a"';
  const result = await fixture.run({ sh }, { args: ['/data/out'], mounts: [mount] });
  t.is(result.exitCode, 0, result.stderr);
  const limits = { bytes: 1000, files: 10, depth: 5, pathBytes: 100 };
  const files = [{ path: 'a/b/file', size: 4, executable: false }];
  t.deepEqual(await collectTree(mount.host, { limits, at: '/data/out' }), files);
});

test.serial('What comes back in an archive is no less hostile, and no more', async (t) => {
  await using fixture = await openFixture(harness);
  const mount = await fixture.mount('/data/out');
  await writeFile(join(mount.host, 'kept'), 'kept');
  await symlink('/etc/passwd', join(mount.host, 'ours'));
  const sh = 'cd "$2"; ln kept twice; ln -s /etc/passwd link; ln -s / root; mkfifo fifo; ls';
  const { stdout } = await fixture.run({ sh }, { args: ['/data/out'], mounts: [mount] });
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
  await using fixture = await openFixture(harness);
  const mount = await fixture.mount('/data/out');
  const limits = { diskBytes: 1_000_000 };
  const sh = 'dd if=/dev/zero of="$2/sparse" bs=1 count=1 seek=5000000';
  t.is((await fixture.run({ sh }, { args: ['/data/out'], mounts: [mount], limits })).ended, 'disk_full');
  t.deepEqual(await fixture.leftovers(), []);
});
