import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

// Stands in for the platform's program: says where it listens as that does, and ends when it is told to.
const [, , ...args] = process.argv;
const argumentOf = (flag: string) => (args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined);
const home = argumentOf('--home') ?? '';
const exit = argumentOf('--exit') ?? '0';

console.log(`started with ${args.join(' ')}`);
process.once('SIGTERM', () => {
  console.error('told to stop');
  process.exit(Number(exit));
});
if (args.includes('--break')) process.exit(Number(exit));
const urls = {
  storage: 'http://127.0.0.1:1',
  compute: 'http://127.0.0.1:2',
  orchestrator: 'http://127.0.0.1:3',
};
const connection = { ...urls, credentials: { name: 'admin', secret: 'secret' } };
await writeFile(join(home, 'connection.json.new'), JSON.stringify(connection), { mode: 0o600 });
await rename(join(home, 'connection.json.new'), join(home, 'connection.json'));
setInterval(() => {}, 60_000);
