import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import { readAddress } from './client/address.ts';
import { Daemon } from './client/daemon.ts';
import { networkWarning } from './networks.ts';

test('A daemon that has a network is warned of by its names, and one that has none is not', async (t) => {
  let drivers: Record<string, string> = { none: 'null', host: 'host' };
  const server = createServer((request, response) => {
    const networks = Object.entries(drivers).map(([Name, Driver]) => ({ Name, Driver }));
    const answer = request.url === '/version' ? { ApiVersion: '1.41' } : networks;
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const address = readAddress(`tcp://127.0.0.1:${port}`, false);
  const daemon = new Daemon({ address, certificates: undefined, callMs: 60_000 });
  const warning = async () => await networkWarning(daemon, AbortSignal.timeout(60_000));

  t.is(await warning(), undefined);
  drivers = { ...drivers, bridge: 'bridge' };
  t.regex((await warning()) ?? '', /^The Docker daemon has a network \(bridge\): .*dockerd --bridge=none\.$/);
  drivers = { ...drivers, d: 'macvlan', c: 'overlay', a: 'bridge' };
  t.regex((await warning()) ?? '', /\(a, bridge, c, others\)/);
});
