import { randomUUID } from 'node:crypto';
import { mkdtempDisposable, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeClient, storageClient } from '@morpheo/client';
import { job } from '@morpheo/common';
import { freePorts } from '@morpheo/real-parts';
import { rawTarGz } from '@morpheo/service/archive/testing';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import type { Connection } from '../connection.ts';
import { uploadThing } from '../scenarios/uploads.ts';
import { KillablePlatform } from '../testing/killable-platform.ts';
import { processesOf } from '../testing/processes.ts';

/** A program that answers calls in capitals; one whose text is the path of a file when that file is there. */
const CAPITALS = `
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
const ask = (method, path, body) => new Promise((resolve, reject) => {
  request({ socketPath: process.env.MORPHEO_RUNNER, method, path }, async (answer) => {
    let text = '';
    for await (const chunk of answer) text += chunk;
    resolve(text === '' ? undefined : JSON.parse(text));
  }).on('error', reject).end(body && JSON.stringify(body));
});
for (;;) {
  for (const { id, inputs, outputs } of (await ask('GET', '/next'))?.calls ?? []) {
    const text = readFileSync(inputs + '/text', 'utf8');
    console.log('has ' + text);
    while (text.startsWith('/') && !existsSync(text)) await new Promise((resolve) => setTimeout(resolve, 20));
    writeFileSync(outputs + '/text', text.toUpperCase());
    await ask('POST', '/done', { id, ok: true });
  }
}
`;

async function connect(home: string) {
  const connection = JSON.parse(await readFile(join(home, 'connection.json'), 'utf8')) as Connection;
  const { credentials } = connection;
  return {
    storage: storageClient({ url: connection.storage, credentials }),
    compute: computeClient({ url: connection.compute, credentials }),
  };
}

test('A job in a warm runner survives a platform that is killed in the middle of it, and ends once', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-warm-'));
  const home = join(folder.path, 'home');
  const [storage = 0, compute = 0, orchestrator = 0] = await freePorts(3);
  await using platform = new KillablePlatform(home, { storage, compute, orchestrator });
  await platform.start();
  await eventually(t, async (t) => await t.notThrowsAsync(connect(home)));
  const apis = await connect(home);
  const dockerfile =
    'FROM node:24-slim\nLABEL morpheo.runner=1\nCOPY main.mjs /app/\nENTRYPOINT ["node", "/app/main.mjs"]\n';
  const archive = rawTarGz([
    { name: 'Dockerfile', body: dockerfile },
    { name: 'main.mjs', body: CAPITALS },
  ]);
  const algo = await uploadThing(apis.storage, 'algo', { name: 'capitals' }, archive);
  const call = async (text: string) => {
    const input = { path: '/in/text', inline: Buffer.from(text).toString('base64') };
    const order = job.parse({ uuid: randomUUID(), algo, warm: 'runner', inputs: [input] });
    await apis.compute.postJob({ body: order });
    return { params: { id: order.uuid } };
  };
  const done = async (order: { params: { id: string } }) => {
    await eventually(t, async (t) => t.is((await apis.compute.getOrder(order)).status, 'done'));
    return await apis.compute.getOrder(order);
  };
  const reused = ({ attempts }: Awaited<ReturnType<typeof done>>) =>
    attempts.at(-1)?.steps.find(({ step }) => step === 'job')?.reused;

  const [first, second] = [await done(await call('one')), await done(await call('two'))];
  t.deepEqual([reused(first), reused(second)], [0, 1]);
  const gate = join(folder.path, 'gate');
  const waiting = await call(gate);
  await eventually(t, async (t) => t.is((await apis.compute.getOrder(waiting)).status, 'pending'));
  await eventually(t, async (t) => t.is((await processesOf(home)).length, 2));
  await platform.kill();
  await platform.start();
  await writeFile(gate, '');
  const ended = await done(waiting);
  t.is(ended.attempt, 2);
  t.is(reused(ended), 0);
  const history = await Array.fromAsync(await apis.compute.orderEvents({ ...waiting, headers: {} }));
  t.is(history.filter(({ data }) => data.what === 'done').length, 1);
  const file = { uuid: ended.result?.uuid ?? '' };
  const { items } = await apis.storage.listOutputFiles({ params: file, query: {} });
  t.deepEqual(
    items.map(({ path, size }) => [path, size]),
    [['text', gate.length]],
  );
  await eventually(t, async (t) => t.deepEqual(await readdir(join(home, 'worker', 'work')), []));
  t.is(await platform.kill('SIGTERM'), 0);
  t.deepEqual(await processesOf(home), []);
});
