import { once } from 'node:events';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { freePort, freePorts } from './free-ports.ts';
import { ServiceProcess } from './service-process.ts';

/** A program of one line in a folder of its own. */
async function program(source: string) {
  const folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-program-'));
  const main = join(folder.path, 'main.mjs');
  await writeFile(main, source);
  return { main, [Symbol.asyncDispose]: async () => await folder.remove() };
}

const SERVER =
  "import { createServer } from 'node:http'; console.log(process.argv.slice(2).join(' '));" +
  "createServer((_, answer) => answer.end('fine')).listen(Number(process.argv[2].split('=')[1]), '127.0.0.1');";

test('A service is ready when it answers, dies, and starts again at the same place', async (t) => {
  await using file = await program(SERVER);
  const port = await freePort();
  const ready = `http://127.0.0.1:${port}/`;
  await using service = new ServiceProcess({ main: file.main, flags: { port, open: '' }, ready });
  await service.start();
  t.true((await fetch(ready)).ok);
  t.is(await service.kill(), null);
  await t.throwsAsync(fetch(ready));
  await service.start({ more: 1 });
  t.true((await fetch(ready)).ok);
  await service.kill('SIGTERM');
  t.is(await service.ended(), `--port=${port} --open\n--port=${port} --open --more=1\n`);
  t.is(service.deaths, 2);
});

test('A service that ends before it is ready says what it printed', async (t) => {
  await using file = await program("console.error('no room'); process.exit(3);");
  await using service = new ServiceProcess({
    main: file.main,
    ready: `http://127.0.0.1:${await freePort()}/`,
  });
  await t.throwsAsync(service.start(), { message: /exit code 3:\nno room/ });
});

test('A supervised service is started again after it died, and not after it was ended', async (t) => {
  await using file = await program(SERVER);
  const port = await freePort();
  const ready = `http://127.0.0.1:${port}/`;
  await using service = new ServiceProcess({ main: file.main, flags: { port }, ready, restartAfterMs: 0 });
  await service.start();
  const first = service.pid;
  await service.crash();
  while (!(await fetch(ready).catch(() => undefined))?.ok) await sleep(10);
  t.not(service.pid, first);
  const second = service.pid;
  await service.kill();
  await sleep(50);
  t.is(service.pid, second);
});

test('Free ports are free, each is given once on the machine, and the kernel gives them to nobody else', async (t) => {
  const ports = await freePorts(20);
  t.is(new Set(ports).size, 20);
  for (const port of ports) {
    t.true(port < 32_768);
    if (process.platform === 'linux') {
      const [error] = await once(createServer().listen(`\0morpheo-test-port-${port}`), 'error');
      t.is(error.code, 'EADDRINUSE');
    }
    const server = createServer().listen(port, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    server.close();
  }
});
