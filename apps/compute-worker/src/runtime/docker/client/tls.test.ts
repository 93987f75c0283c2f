import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startDind, withParts } from '@morpheo/real-parts';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import { silentLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import ava from 'ava';
import { openFixture } from '../../conformance/runtime-fixture.ts';
import { openDockerRuntime } from '../index.ts';
import { dockerHarness, optionsFor } from '../testing/harness.ts';
import { followCertificates, readAddress } from './address.ts';
import { Daemon } from './daemon.ts';

const test = withParts(ava, 'docker');

test('A daemon of the network is spoken to by TLS, and both sides are verified', async (t) => {
  await using dind = await startDind({ tls: true });
  const { tls } = dind;
  if (tls === undefined) return t.fail('the daemon has no TLS');
  await using folder = await temporaryFolder();
  const write = async (name: string, text: string) => await writeFile(join(folder.path, name), text);
  await Promise.all([write('ca.pem', tls.ca), write('cert.pem', tls.cert), write('key.pem', tls.key)]);
  const host = `tcp://${tls.host}:${tls.port}`;
  const certificates = folder.path;
  const socket = `unix://${dind.socketPath}`;
  const harness = dockerHarness(async () => ({ host: socket, shared: dind.jobs }));
  const open = async (worker: string) => await openDockerRuntime(optionsFor(host, worker, { certificates }));
  await using fixture = await openFixture({ ...harness, open });
  t.is((await fixture.run({ sh: 'echo by TLS' })).stdout, 'by TLS\n');
  // Its containers are removed behind its runs.
  await eventually(t, async (t) => t.deepEqual(await fixture.leftovers(), []));

  await using plain = await openDockerRuntime(optionsFor(host, folder.path));
  await t.throwsAsync(plain.ping(), {
    code: 'unavailable',
    message: /port is for TLS, give --docker-cert-path/,
  });
  await write('ca.pem', tls.cert);
  await using wary = await open(folder.path);
  await t.throwsAsync(wary.ping(), {
    code: 'unavailable',
    message: /do not accept each other's certificates/,
  });

  await using stack = new AsyncDisposableStack();
  const followed = await followCertificates(folder.path, { log: silentLog, stack, everyMs: 1 });
  const daemon = new Daemon({ address: readAddress(host, true), certificates: followed, callMs: 60_000 });
  await t.throwsAsync(daemon.ping(), { message: /do not accept each other's certificates/ });
  await write('ca.pem', tls.ca);
  await eventually(t, async (t) => await t.notThrowsAsync(daemon.ping()));
  await write('ca.pem', tls.cert);
  await eventually(t, async (t) => await t.throwsAsync(daemon.ping(), { code: 'unavailable' }));
});
