import { rm } from 'node:fs/promises';
import { readSettings } from './settings.ts';
import { down, logs, prepare, up } from './up.ts';

try {
  const settings = readSettings(process.argv.slice(2));
  if (settings.work === 'up') await up(settings);
  else if (settings.work === 'logs') await logs(settings);
  else if (settings.work === 'prepare') await prepare(settings);
  else {
    await down(settings);
    await rm(settings.folder, { recursive: true, force: true });
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
