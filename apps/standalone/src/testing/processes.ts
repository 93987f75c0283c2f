import { readdir, readFile } from 'node:fs/promises';

/** The command lines of all processes of this machine, this one apart, that name a folder in their arguments or environment. */
export async function processesOf(folder: string): Promise<string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
  const lines = await Promise.all(
    ids.map(async (id) => {
      const [line, environment] = await Promise.all([
        read(`/proc/${id}/cmdline`),
        read(`/proc/${id}/environ`),
      ]);
      return line.includes(folder) || environment.includes(folder)
        ? [`${id} ${line.replaceAll('\0', ' ')}`]
        : [];
    }),
  );
  return lines.flat();
}

async function read(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch(() => '');
}
