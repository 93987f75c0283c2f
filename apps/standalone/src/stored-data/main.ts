import { mkdir, mkdtempDisposable, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '@morpheo/real-parts';
import { dump, folderOf, pack, writeDescription } from './archive.ts';
import { describe } from './describe.ts';
import { fill } from './fill.ts';
import { NOBODY, openStored } from './services.ts';

/**
 * Makes the stored data of this version, on SQLite and on PostgreSQL: `node src/stored-data/main.ts 0.2.0` in the folder of standalone.
 * The services make every row; run it once at a release, and commit what it writes.
 */
const [version = '0.0.0'] = process.argv.slice(2);
const out = folderOf(version);
await mkdir(out, { recursive: true });
{
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-stored-'));
  await make('sqlite', folder.path, undefined);
  await pack(folder.path, join(out, 'sqlite.tar.gz'));
}
{
  await using server = await startPostgres();
  await using target = await server.createDatabase();
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-stored-'));
  await make('postgres', folder.path, { engine: 'postgres', address: target, poolSize: 4 });
  await pack(folder.path, join(out, 'postgres.tar.gz'));
  await dump(target, join(out, 'postgres.sql.gz'));
}

async function make(engine: string, folder: string, database: Parameters<typeof openStored>[0]['database']) {
  let upload = '';
  {
    await using orchestrator = await listeningOrchestrator();
    await using services = await openStored({
      ...{ folder, database, together: true, orchestrator: orchestrator.url },
    });
    const { upload: begun } = await fill(services, folder, () => {
      orchestrator.away = true;
    });
    upload = begun;
  }
  // As a reader finds it later: with nobody beside, so that nothing that is due happens.
  await using services = await openStored({ folder, database, together: false, orchestrator: NOBODY });
  await writeDescription(out, engine, await describe(services, upload));
  await rm(join(folder, 'storage', 'staging'), { recursive: true });
}

/** An orchestrator that answers every callback, until it is away. */
async function listeningOrchestrator() {
  const state: { away: boolean } = { away: false };
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(state.away ? 503 : 200, { 'content-type': 'application/json' }).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(state, {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
