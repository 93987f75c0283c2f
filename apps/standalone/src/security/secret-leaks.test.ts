import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempDisposable, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { computeContract, type Endpoint, learnuplet, storageContract } from '@morpheo/common';
import { withParts } from '@morpheo/real-parts';
import { rawTarGz } from '@morpheo/service/archive/testing';
import ava from 'ava';
import { runScenario } from '../scenarios/run-scenario.ts';
import { scenario } from '../scenarios/scenario.ts';
import { uploadData, uploadProgram, uploadThing } from '../scenarios/uploads.ts';
import { drawCanaries, filesBelow, findCanaries, type SearchedText } from '../testing/canaries.ts';
import { type CanaryCluster, inspectContainers, startCanaryCluster } from '../testing/canary-cluster.ts';
import { startProgram } from '../testing/service-program.ts';

const test = withParts(ava, 'postgres', 'minio', 'nsq', 'docker');
const run = promisify(execFile);

/** An algorithm that tells all that it knows of where it runs, and stays for a while so that it can be looked at. */
const TELLER = `
import { readFileSync } from 'node:fs';
const read = (path) => { try { return readFileSync(path, 'latin1'); } catch (error) { return error.code; } };
console.log('teller', JSON.stringify(process.env), process.argv.join(' '), read('/proc/1/environ'), read('/proc/1/cmdline'));
console.log(read('/proc/self/mountinfo'), read('/etc/hosts'), read('/etc/resolv.conf'));
setTimeout(() => process.exit(7), 15_000);
`;

test.serial('A finder of canary secrets finds them in every form', (t) => {
  const canaries = drawCanaries('one', 'other');
  const secret = canaries.one;
  const url = `http://me:${encodeURIComponent(secret)}@host`;
  for (const text of [secret, url, btoa(`me:${secret}`), btoa(`longer:${secret}!`), btoa(`x${secret}`)]) {
    t.true(findCanaries(canaries, [{ name: 'here', text: `around ${text} it` }]).length > 0, text);
  }
  t.deepEqual(findCanaries(canaries, [{ name: 'here', text: `teller ${randomUUID()}` }]), []);
});

test.serial('No canary secret comes to light anywhere, whatever the platform does', async (t) => {
  t.timeout(400_000, 'a whole platform of processes on real parts');
  const searched: SearchedText[] = [];
  await using cluster = await startCanaryCluster();
  const { canaries, programs, parts } = cluster;
  searched.push(...(await workThrough(cluster)));
  const { length: worked } = searched;
  searched.push(...(await everyAnswer(cluster)));
  t.true(searched.length - worked > 60, 'every route has answered, three times');
  searched.push(...(await everyRow(cluster)));
  searched.push(
    ...(await filesBelow(join(parts.dind.jobs, 'worker'))),
    ...(await filesBelow(join(cluster.folder, 'storage'))),
  );
  t.true(parts.receiver.spans.length > 10 && parts.receiver.headers.length > 0);
  t.is(parts.receiver.headers[0]?.authorization, canaries.traces, 'that the secrets are in use');
  searched.push({ name: 'the traces', text: parts.receiver.text });
  for (const [name, program] of Object.entries(programs)) {
    program.signal(name === 'worker' ? 'SIGTERM' : 'SIGABRT');
    const text = await program.ended();
    t.true(text.length > 500, name);
    searched.push({ name: `the output of ${name}`, text });
  }
  t.deepEqual(findCanaries(canaries, searched), []);
  const bytes = searched.reduce((sum, { text }) => sum + text.length, 0);
  t.log(`${Object.keys(canaries).length} secrets, ${searched.length} texts, ${bytes} bytes: found 0 times`);
});

test.serial('A program that breaks down tells why, and no secret', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-breaks-'));
  const canaries = drawCanaries('storage', 'traces');
  const breaks = "setTimeout(() => { throw new Error('on purpose'); }, 3000)";
  await using program = startProgram('storage-api', {
    cwd: folder.path,
    node: ['--import', `data:text/javascript,${encodeURIComponent(breaks)}`],
    flags: { 'data-dir': folder.path, port: '0', user: 'u', 'log-level': 'debug' },
    env: {
      MORPHEO_STORAGE_PASSWORD: canaries.storage,
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:2',
      OTEL_EXPORTER_OTLP_HEADERS: `authorization=${encodeURIComponent(canaries.traces)}`,
    },
  });
  const printed = await program.ended();
  t.regex(printed, /on purpose/);
  const searched = [{ name: 'its output', text: printed }, ...(await filesBelow(folder.path))];
  t.deepEqual(findCanaries(canaries, searched), []);
});

/** Orders that end well, that fail, and that cannot be; what of their containers is to be seen while they run. */
async function workThrough(cluster: CanaryCluster): Promise<SearchedText[]> {
  const { storage, compute } = cluster;
  for (const name of ['03-predict', '10-exits-1', '40-unknown-algo']) {
    const file = new URL(`../scenarios/${name}.json`, import.meta.url);
    await runScenario(scenario.parse(JSON.parse(await readFile(file, 'utf8'))), cluster);
  }
  const algo = await uploadThing(storage, 'algo', { name: 'teller' }, tellerArchive());
  const [workflow, data] = [
    await uploadProgram(storage, 'problem', 'problem-parity'),
    await uploadData(storage),
  ];
  const ids = { uuid: randomUUID(), problem: workflow, model_end: randomUUID(), model_start: algo };
  const uplet = { ...ids, workflow, algo, train_data: [data], test_data: [data], rank: 0, status: 'todo' };
  await compute.learn({ body: learnuplet.parse(uplet) });
  const trained = await whatIsSeenOf(ids.uuid, cluster);
  const inputs = [{ path: '/in/put', inline: btoa('text') }];
  const { uuid } = await compute.postJob({ body: { uuid: randomUUID(), algo, env: { OWN: 'one' }, inputs } });
  return [...trained, ...(await whatIsSeenOf(uuid, cluster))];
}

/** What is to be seen of an order of the teller while it runs, and what that has told. */
async function whatIsSeenOf(id: string, cluster: CanaryCluster): Promise<SearchedText[]> {
  const { compute, parts } = cluster;
  const searched: SearchedText[] = [];
  const params = { id };
  for (let status = 'todo'; ['waiting', 'todo', 'pending'].includes(status); ) {
    ({ status } = await compute.getOrder({ params }));
    const text = await inspectContainers(parts.dind, async (...args) => (await run('docker', args)).stdout);
    searched.push({ name: 'what Docker tells of containers', text });
  }
  const seen = searched.map(({ text }) => text).join('');
  if (!seen.includes('/app/main.mjs')) throw new Error('No container of the algorithm was seen.');
  const log = await (await fetch(`${cluster.urls.compute}/v1/orders/${id}/log`, asOperator(cluster))).text();
  if (!log.includes('teller')) throw new Error(`The algorithm has told nothing: ${log}`);
  return [...searched, { name: 'what the algorithm tells', text: log }];
}

const asOperator = ({ authorization }: CanaryCluster) => ({
  headers: { authorization: authorization.compute },
});

/** What every route answers, to its operator, to one with a wrong secret, and to nobody. */
async function everyAnswer({ urls, authorization }: CanaryCluster): Promise<SearchedText[]> {
  const searched: SearchedText[] = [];
  const contracts = { storage: storageContract, compute: computeContract };
  const house = ['/health', '/ready', '/metrics', '/docs', '/openapi.json', '/no/such/route'];
  for (const [service, { endpoints }] of Object.entries(contracts)) {
    const url = urls[service as keyof typeof urls];
    const routes = Object.values(endpoints as Record<string, Endpoint>).map(({ method, path }) => ({
      method,
      path,
    }));
    for (const { method, path } of [...routes, ...house.map((one) => ({ method: 'GET', path: one }))]) {
      const filled = path
        .replace(/:type/, 'algo')
        .replace(/:attempt/, '1')
        .replaceAll(/:\w+/g, () => randomUUID());
      const right = authorization[service as keyof typeof authorization];
      for (const sent of [right, `Basic ${btoa(`operator:${randomUUID()}`)}`, undefined]) {
        const text = await wholeAnswer(`${url}${filled}`, method, sent);
        searched.push({ name: `${service} ${method} ${path}`, text });
      }
    }
  }
  for (const path of house) {
    searched.push({
      name: `worker ${path}`,
      text: await wholeAnswer(`${urls.worker}${path}`, 'GET', undefined),
    });
  }
  return searched;
}

/** Status, header fields and as much of the body as comes within some seconds. */
async function wholeAnswer(url: string, method: string, authorization: string | undefined): Promise<string> {
  const body = method === 'GET' || method === 'HEAD' ? {} : { body: '{}' };
  const headers = {
    'content-type': 'application/json',
    ...(authorization === undefined ? {} : { authorization }),
  };
  const answer = await fetch(url, { method, headers, ...body, signal: AbortSignal.timeout(60_000) });
  const head = JSON.stringify([answer.status, ...answer.headers]);
  let text = '';
  const cut = setTimeout(() => void reader?.cancel(), 2000);
  const reader = answer.body?.getReader();
  for (;;) {
    const piece = await reader?.read();
    if (piece === undefined || piece.done) break;
    text += Buffer.from(piece.value).toString('latin1');
  }
  clearTimeout(cut);
  return `${head}\n${text}`;
}

/** Every row of every table of both services. */
async function everyRow({
  parts: { postgres, ofStorage, ofCompute },
}: CanaryCluster): Promise<SearchedText[]> {
  const searched: SearchedText[] = [];
  for (const { database } of [ofStorage, ofCompute]) {
    const tables = await postgres.query(
      "select table_name from information_schema.tables where table_schema = 'public'",
      database,
    );
    for (const { table_name: table } of tables) {
      const rows = await postgres.query(
        `select row_to_json(one)::text as row from "${String(table)}" one`,
        database,
      );
      searched.push({
        name: `the table ${String(table)}`,
        text: rows.map(({ row }) => String(row)).join('\n'),
      });
    }
  }
  if (!searched.some(({ name, text }) => name.endsWith(' orders') && text.length > 100))
    throw new Error('No orders were seen.');
  return searched;
}

function tellerArchive(): Uint8Array {
  const dockerfile = 'FROM node:24-slim\nCOPY main.mjs /app/\nENTRYPOINT ["node", "/app/main.mjs"]\n';
  return rawTarGz([
    { name: 'Dockerfile', body: dockerfile },
    { name: 'main.mjs', body: TELLER },
  ]);
}
