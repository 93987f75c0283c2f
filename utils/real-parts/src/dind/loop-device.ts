import { readdir, stat } from 'node:fs/promises';

/** A loop device of this machine that holds no file; one at random, so that tests at once rarely want the same. */
export async function freeLoopDevice(): Promise<string> {
  const names = (await readdir('/sys/block')).filter((name) => /^loop\d+$/.test(name));
  const free: string[] = [];
  for (const name of names) {
    // The kernel shows this folder while a file is attached.
    const isFree = await stat(`/sys/block/${name}/loop`).then(
      () => false,
      () => true,
    );
    if (isFree) free.push(name);
  }
  const chosen = free[Math.floor(Math.random() * free.length)];
  if (chosen === undefined) throw new Error('Every loop device of this machine is in use: see `losetup -l`.');
  return `/dev/${chosen}`;
}
