import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeClient, storageClient } from '@morpheo/client';
import {
  type Api,
  type ComputeContract,
  type Endpoint,
  type Learnuplet,
  learnuplet,
  type OrderView,
  preduplet,
} from '@morpheo/common';
import {
  type ContainerRuntime,
  openDockerRuntime,
  openProcessRuntime,
  startWorker,
} from '@morpheo/compute-worker';
import { startDind, withParts } from '@morpheo/real-parts';
import { rawTarGz } from '@morpheo/service/archive/testing';
import { silentLog } from '@morpheo/service/log';
import test, { type ExecutionContext } from 'ava';
import { uploadThing } from '../scenarios/uploads.ts';
import { type Canaries, findCanaries, type SearchedText } from '../testing/canaries.ts';
import {
  basic,
  openServicesWithRoles,
  type ServedContract,
  type ServicesWithRoles,
} from '../testing/services-with-roles.ts';

/** The group of Bob's orders. */
const GROUP = 'sweep';

/** A problem whose steps print all that they see and put it into their scores; it fails in perf or names strange scores where told to. */
const PROBLEM = `
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
const options = Object.fromEntries(['T', 'i', 's'].map((name) => [name, { type: 'string', short: name }]));
const { T: task, i: hidden, s: submission } = parseArgs({ options }).values;
const files = (folder) => readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
const read = (name) => readFileSync(hidden + '/test/' + name, 'utf8');
for (const { name } of files(hidden + '/test')) {
  console.log(task, 'sees', read(name));
  console.error(task, 'sees', read(name));
}
if (task === 'detarget') {
  for (const { name } of files(hidden + '/test')) {
    writeFileSync(submission + '/test/' + name, read(name).replaceAll(/target .*/g, 'target ?'));
  }
} else {
  const one = read(files(hidden + '/test')[0].name);
  const number = Number('0.' + /number (\\d+)/.exec(one)[1]);
  const scores = (folder) => Object.fromEntries(files(folder).map(({ name }) => [name, number]));
  const performance = {
    perf: number,
    train_perf: scores(submission + '/train'),
    test_perf: { ...scores(hidden + '/test'), ...(process.env.FAILS === 'scores' && { [one.slice(0, 80)]: 1 }) },
    note: one,
  };
  writeFileSync(hidden + '/perf/performance.json', JSON.stringify(performance));
  if (process.env.FAILS === 'perf') { console.error('perf gives up at', one); process.exit(77); }
}
`;

/** An algorithm that prints all that it is given, and fails where told to. Its model and predictions hold nothing of it. */
const ALGO = `
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
const options = Object.fromEntries(['T', 'V'].map((name) => [name, { type: 'string', short: name }]));
const { T: task, V: volume } = parseArgs({ options }).values;
for (const folder of [volume + '/train', volume + '/test']) {
  if (!existsSync(folder)) continue;
  const names = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
  mkdirSync(folder + '/pred', { recursive: true });
  for (const { name } of names) {
    const seen = readFileSync(folder + '/' + name, 'utf8');
    console.log(task, 'sees', seen);
    console.error(task, 'sees', seen);
    if (process.env.FAILS === task) { console.error('it gives up at', seen); process.exit(77); }
    writeFileSync(folder + '/pred/' + name, 'nothing');
  }
}
if (task === 'train') writeFileSync(volume + '/model/model_trained.json', '{}');
`;

/** Whoever may call, but for the owner of what is hidden (ada) and the admin. */
const STRANGERS = ['bob', 'eve', 'orchestrator', 'compute', 'worker', 'uploader', 'reader', 'nobody'];

type OpenRuntime = (folder: string) => Promise<ContainerRuntime>;

test('On the process runtime no answer tells an author of hidden data', async (t) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'morpheo-hidden-'));
  await tellsNothing(
    t,
    folder.path,
    async (home) => await openProcessRuntime({ folder: home, log: silentLog }),
  );
});

withParts(test, 'docker')('On Docker no answer tells an author of hidden data', async (t) => {
  t.timeout(300_000);
  await using dind = await startDind();
  await tellsNothing(
    t,
    join(dind.jobs, 'worker'),
    async (folder) =>
      await openDockerRuntime({
        worker: randomUUID(),
        folder,
        host: `unix://${dind.socketPath}`,
        user: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
        log: silentLog,
      }),
  );
});

/** Runs orders to every end over hidden data, then asks everybody's every question and looks for the data. */
async function tellsNothing(t: ExecutionContext, home: string, openRuntime: OpenRuntime): Promise<void> {
  await using services = await openServicesWithRoles({}, undefined, {
    ada: ['uploader', 'reader'],
    bob: ['uploader', 'reader', 'orchestrator'],
    eve: ['uploader', 'reader', 'orchestrator'],
  });
  await using runtime = await openRuntime(home);
  const [storageUrl, computeUrl] = services.services.map(({ url }) => url);
  const credentials = services.credentialsOf('worker');
  await using _worker = await startWorker({
    compute: computeClient({ url: computeUrl ?? '', credentials }),
    openStorage: (token) => storageClient({ url: storageUrl ?? '', credentials, token }),
    ...{ runtime, folder: home, name: 'test', slots: { learn: 1, predict: 1 }, pollMs: 100, log: silentLog },
  });
  const hidden = drawHidden();
  const { orders, ids } = await workThrough(services, hidden);
  t.deepEqual(
    Object.fromEntries(orders.map(([name, { status, failure }]) => [name, failure?.step ?? status])),
    {
      done: 'done',
      'fails in train': 'train',
      'fails in perf': 'perf',
      'has strange scores': 'perf',
      predicts: 'done',
      'fails to predict': 'predict',
    },
  );

  const seen = await everyAnswer(services, 'admin', ids);
  const [inLog] = findCanaries(hidden.canaries, seen);
  t.truthy(inLog, 'the admin sees the data in logs, so that looking for it finds it');
  for (const who of STRANGERS) {
    const answers = await everyAnswer(services, who, ids);
    t.true(answers.length > 100, who);
    t.deepEqual(findCanaries(hidden.canaries, answers), [], who);
    t.deepEqual(
      answers.flatMap(({ name, text }) => hidden.figures.filter((one) => one.test(text)).map(() => name)),
      [],
      `${who}: digests, sizes and scores`,
    );
  }
}

/** Data with targets, and what else would tell of them. */
interface Hidden {
  readonly train: string;
  readonly test: string;
  readonly canaries: Canaries;
  /** Digests, exact sizes and exact scores. */
  readonly figures: readonly RegExp[];
}

function drawHidden(): Hidden {
  const canaries = {
    'a row of training': randomBytes(20).toString('hex'),
    'a target': randomBytes(20).toString('hex'),
  };
  const number = `7${Array.from(randomBytes(14), (byte) => byte % 10).join('')}1`;
  const train = `row ${canaries['a row of training']}\n`.padEnd(17_993, 'x');
  const tested = `target ${canaries['a target']} number ${number}\n`.padEnd(18_341, 'y');
  const digests = [train, tested].map((text) => createHash('sha256').update(text).digest('hex'));
  return {
    ...{ train, test: tested, canaries },
    figures: [...digests, number.slice(0, 8), '(?<![\\d.])(17993|18341)(?!\\d)'].map(
      (one) => new RegExp(one),
    ),
  };
}

/** Ada uploads hidden data and opens its use; Bob orders all that he can over it. Returns the orders, and all ids. */
async function workThrough(services: ServicesWithRoles, hidden: Hidden) {
  const as = (name: string) => clientsAs(services, name);
  const ada = as('ada').storage;
  const bob = as('bob');
  const ids: Record<'problem' | 'algo' | 'data' | 'model' | 'prediction' | 'order', string[]> = {
    ...{ problem: [], algo: [], data: [], model: [], prediction: [], order: [] },
  };
  const add = async (
    storage: typeof ada,
    type: 'problem' | 'algo' | 'data',
    bytes: string | Uint8Array,
    more = {},
  ) => {
    const names = type === 'data' ? {} : { name: type, ...(type === 'problem' && { description: type }) };
    const uuid = await uploadThing(storage, type, { ...names, ...more }, Buffer.from(bytes));
    ids[type].push(uuid);
    return uuid;
  };
  const open = { visibility: 'open' };
  const problems = {
    fine: await add(ada, 'problem', programArchive(PROBLEM), open),
    failing: await add(ada, 'problem', programArchive(PROBLEM, 'perf'), open),
    lying: await add(ada, 'problem', programArchive(PROBLEM, 'scores'), open),
  };
  const tested = await add(ada, 'data', hidden.test, {
    ...open,
    ...{ purpose: 'test', problems: Object.values(problems).join(',') },
  });
  const train = await add(ada, 'data', hidden.train, { ...open, purpose: 'train' });
  const predicted = await add(ada, 'data', hidden.train.replaceAll('x', 'z'), {
    ...open,
    purpose: 'predict',
  });
  const algos = {
    fine: await add(bob.storage, 'algo', programArchive(ALGO)),
    train: await add(bob.storage, 'algo', programArchive(ALGO, 'train')),
    predict: await add(bob.storage, 'algo', programArchive(ALGO, 'predict')),
  };
  const learn = (problem: string, algo: string): Learnuplet => {
    const model_end = randomUUID();
    ids.model.push(model_end);
    return learnuplet.parse({
      ...{ uuid: randomUUID(), problem, workflow: problem, algo, model_start: algo, model_end },
      ...{ rank: 0, train_data: [train], test_data: [tested], status: 'todo', group: GROUP },
    });
  };
  const trainings = {
    done: learn(problems.fine, algos.fine),
    'fails in train': learn(problems.fine, algos.train),
    'fails in perf': learn(problems.failing, algos.fine),
    'has strange scores': learn(problems.lying, algos.fine),
  };
  const second = learn(problems.fine, algos.predict);
  const predict = (model: string) =>
    preduplet.parse({
      ...{ uuid: randomUUID(), problem: problems.fine, workflow: problems.fine },
      ...{ model, data: predicted, status: 'todo' },
    });
  const predictions = {
    predicts: predict(trainings.done.model_end),
    'fails to predict': predict(second.model_end),
  };
  for (const body of [...Object.values(trainings), second]) await bob.compute.learn({ body });
  for (const body of Object.values(predictions)) await bob.compute.pred({ body });
  const orders: [string, OrderView][] = [];
  for (const [name, { uuid }] of Object.entries({ ...trainings, ...predictions })) {
    ids.order.push(uuid);
    orders.push([name, await ended(as('admin').compute, uuid)]);
  }
  const made = orders.flatMap(([, { result }]) => result?.uuid ?? []);
  ids.prediction.push(...made);
  return { orders, ids };
}

async function ended(compute: Api<ComputeContract>, id: string): Promise<OrderView> {
  for await (const _event of await compute.orderEvents({ params: { id }, headers: {} }));
  return await compute.getOrder({ params: { id } });
}

function clientsAs(services: ServicesWithRoles, name: string) {
  const [storage, compute] = services.services.map(({ url }) => url);
  const credentials = services.credentialsOf(name);
  return {
    storage: storageClient({ url: storage ?? '', credentials }),
    compute: computeClient({ url: compute ?? '', credentials }),
  };
}

function programArchive(source: string, fails = 'nothing'): Uint8Array {
  const lines = [
    'FROM node:24-slim',
    `ENV FAILS=${fails}`,
    'COPY main.mjs /app/',
    'ENTRYPOINT ["node", "/app/main.mjs"]',
  ];
  return rawTarGz([
    { name: 'Dockerfile', body: `${lines.join('\n')}\n` },
    { name: 'main.mjs', body: source },
  ]);
}

type Ids = Awaited<ReturnType<typeof workThrough>>['ids'];

/** What every route that changes nothing answers somebody about each id, and what services say of themselves. */
async function everyAnswer(services: ServicesWithRoles, who: string, ids: Ids): Promise<SearchedText[]> {
  const { name, secret } = services.credentialsOf(who);
  const authorization = who === 'nobody' ? undefined : basic(name, secret);
  const answers: SearchedText[] = [];
  for (const service of services.services) {
    const own = ['/metrics', '/ready', '/openapi.json'];
    const paths = new Set([
      ...own,
      ...Object.values(service.contract.endpoints).flatMap((one) => pathsOf(one, ids)),
    ]);
    for (const path of paths) {
      for (const method of ['GET', 'HEAD'])
        answers.push(await answerOf(service, method, path, authorization));
    }
  }
  return answers;
}

/** The paths of a route with each id that fits it; of people and groups with the name of who owns what is hidden, and of Bob's orders. */
function pathsOf({ method, path }: Endpoint, ids: Ids): string[] {
  if (method !== 'GET') return [];
  if (!path.includes(':')) return [path];
  const { order, ...things } = ids;
  const fill = (pattern: string, id: string) => pattern.replaceAll(/:\w+/g, id);
  if (path.includes(':type')) {
    return Object.entries(things).flatMap(([type, own]) =>
      own.map((id) => fill(path.replace(':type', type), id)),
    );
  }
  const kind = Object.entries(things).find(([type]) => path.startsWith(`/${type}/`));
  const own = path.startsWith('/v1/orders/') ? order : (kind?.[1] ?? ['ada', GROUP]);
  const filled = own.map((id) => fill(path, id));
  return path.endsWith('/log') ? [...filled, ...filled.map((one) => `${one}?follow=true`)] : filled;
}

/** Status, header fields, and as much of the body as comes within a moment. */
async function answerOf(
  { name, url }: ServedContract,
  method: string,
  path: string,
  authorization: string | undefined,
): Promise<SearchedText> {
  const headers = authorization === undefined ? {} : { authorization };
  const answer = await fetch(`${url}${path}`, { method, headers, signal: AbortSignal.timeout(60_000) });
  const head = JSON.stringify([answer.status, ...answer.headers]);
  const body = await textWithin(answer, 5000);
  return { name: `${name} ${method} ${path}`, text: `${head}\n${body}` };
}

async function textWithin(answer: Response, ms: number): Promise<string> {
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  const timer = setTimeout(() => void reader?.cancel().catch(() => undefined), ms);
  const next = async () => (await reader?.read().catch(() => undefined))?.value;
  let text = '';
  for (let piece = await next(); piece !== undefined; piece = await next()) text += piece;
  clearTimeout(timer);
  return text;
}
