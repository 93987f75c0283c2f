import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rawTarGz, temporaryFolder } from '@morpheo/service/archive/testing';
import { silentLog } from '@morpheo/service/log';
import test from 'ava';
import { openProcessRuntime } from '../runtime/process/index.ts';
import { failureOf, openTestWorker, resultOf } from '../testing/test-worker.ts';

/** A worker that runs one program, `copy`, which copies the file that it is told to its outputs. */
async function openCopyWorker() {
  const folder = await temporaryFolder();
  const programs = join(folder.path, 'programs');
  await mkdir(programs);
  await writeFile(join(programs, 'copy'), '#!/bin/sh\nexec cp "$COPY_FROM$1" "$MORPHEO_OUTPUTS/copy"\n', {
    mode: 0o755,
  });
  await writeFile(join(programs, 'notes'), 'no program');
  const setup = await openTestWorker({
    openRuntime: async (own) =>
      await openProcessRuntime({
        folder: own,
        programs,
        programVariables: ['COPY_', 'LEVEL'],
        log: silentLog,
      }),
  });
  return {
    ...setup,
    run: async (dockerfile: string, job: Parameters<typeof setup.job>[0] = {}) => {
      const files = [
        { name: 'Dockerfile', body: dockerfile },
        { name: 'copy', body: '#!/bin/sh\nexit 0\n', mode: 0o755 },
      ];
      const order = setup.job({ algo: setup.storage.put('algo', rawTarGz(files)), ...job });
      await setup.worker.settle();
      return order;
    },
    [Symbol.asyncDispose]: async () => {
      await setup[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const INPUT = { path: '/in/x', inline: Buffer.from('some text').toString('base64') };

test('A worker of its operator’s programs runs the one that an algorithm names', async (t) => {
  await using worker = await openCopyWorker();
  const order = await worker.run('FROM lab/copy:1\nLABEL a="b"\nENTRYPOINT ["copy"]', {
    command: ['/in/x'],
    inputs: [INPUT],
  });
  t.truthy(resultOf(order));
  t.regex(String(worker.storage.staged.get(`${order.id}.1`)?.bytes), /some text/);
});

test('It is told by the variables that its operator lets others set', async (t) => {
  await using worker = await openCopyWorker();
  const order = await worker.run('FROM lab/copy:1\nENV COPY_FROM=/in/x LEVEL=1\nENTRYPOINT ["copy"]', {
    inputs: [INPUT],
    env: { LEVEL: '2' },
  });
  t.regex(String(worker.storage.staged.get(`${order.id}.1`)?.bytes), /some text/);
  const { message } = failureOf(await worker.run('FROM x\nENV LEVELS=1\nENTRYPOINT ["copy"]'));
  t.regex(message, /sets the variable LEVELS/);
});

test('It refuses whatever else would run there, and says what it runs', async (t) => {
  await using worker = await openCopyWorker();
  const own = 'ENTRYPOINT ["copy"]';
  const refused: [string, string, Parameters<typeof worker.run>[1]?][] = [
    ['FROM x\nENTRYPOINT ["node", "-e", "1"]', 'node is none of them'],
    ['FROM x\nENTRYPOINT ["/bin/sh"]', '/bin/sh is none of them'],
    ['FROM x\nENTRYPOINT ["../copy"]', '../copy is none of them'],
    ['FROM x\nENTRYPOINT ["notes"]', 'notes is none of them'],
    ['FROM x\nWORKDIR /app\nCOPY copy /app/\nENTRYPOINT ["./copy"]', 'brings files with COPY'],
    [`FROM x\nADD copy /app/\n${own}`, 'brings files with COPY'],
    [`FROM x\nENV NODE_OPTIONS=--import=data:text/javascript,1\n${own}`, 'sets the variable NODE_OPTIONS'],
    [`FROM x\nENV PATH=/app:$PATH\n${own}`, 'sets the variable PATH'],
    [
      `FROM x\n${own}`,
      'The order sets the variable LD_PRELOAD',
      { env: { LD_PRELOAD: '/in/x' }, inputs: [INPUT] },
    ],
  ];
  for (const [dockerfile, message, job] of refused) {
    const failure = failureOf(await worker.run(dockerfile, job));
    t.is(failure.reason, 'build_failed', dockerfile);
    t.true(failure.message.includes(message), `${dockerfile}: ${failure.message}`);
    t.regex(failure.message, /runs only programs that its operator has put there/);
  }
});

test('It refuses an order whose words or variables name what is no place of its run, and runs one whose do', async (t) => {
  await using worker = await openCopyWorker();
  await using others = await temporaryFolder();
  const secret = join(others.path, 'secret');
  await writeFile(secret, 'of another order');
  const plain = 'FROM x\nENTRYPOINT ["copy"]';
  const refused: [string, Parameters<typeof worker.run>[1], string][] = [
    [plain, { env: { COPY_FROM: secret } }, `The variable COPY_FROM of the order names ${secret}`],
    [plain, { env: { COPY_FROM: `/in/x/../..${secret}` } }, 'The variable COPY_FROM of the order'],
    [plain, { env: { COPY_FROM: '../home' } }, 'The variable COPY_FROM of the order names ../home'],
    [plain, { env: { COPY_FROM: `/in/x:${secret}` } }, `names ${secret}, which is no place of this run`],
    [plain, { env: { COPY_FROM: `/in/x/a,${secret}` } }, 'The variable COPY_FROM of the order'],
    [plain, { command: [secret] }, `The command of the order names ${secret}`],
    [plain, { command: [`--from=${secret}`] }, `The command of the order names ${secret}`],
    [plain, { command: [`file://${secret}`] }, 'The command of the order'],
    [plain, { command: ['a/../../x'] }, 'The command of the order names a/../../x'],
    [
      'FROM x\nENV COPY_FROM=../x\nENTRYPOINT ["copy"]',
      {},
      'The variable COPY_FROM of the algorithm names ../x',
    ],
    [`FROM x\nENTRYPOINT ["copy", "a,${secret}"]`, {}, 'The ENTRYPOINT of the algorithm names'],
  ];
  for (const [dockerfile, job, message] of refused) {
    const failure = failureOf(await worker.run(dockerfile, { inputs: [INPUT], ...job }));
    t.is(failure.reason, 'build_failed', message);
    t.true(failure.message.includes(message), `${message}: ${failure.message}`);
  }
  const accepted: Parameters<typeof worker.run>[1][] = [
    { env: { COPY_FROM: '/in/y/../x', LEVEL: 'https://example.org/a' } },
    { env: { LEVEL: '1/2, and 10%' }, command: ['/in/x', 'text/plain', '--all=1:2', '...'] },
  ];
  for (const job of accepted) {
    const order = await worker.run(plain, { inputs: [INPUT], ...job });
    t.truthy(resultOf(order), JSON.stringify(order));
    t.regex(String(worker.storage.staged.get(`${order.id}.1`)?.bytes), /some text/);
  }
});

test('What an algorithm names on it leads to its run, also where nothing is there', async (t) => {
  await using worker = await openCopyWorker();
  await using others = await temporaryFolder();
  const secret = join(others.path, 'secret');
  await writeFile(secret, 'of another order');
  for (const dockerfile of [
    `FROM x\nENV COPY_FROM=${secret}\nENTRYPOINT ["copy"]`,
    `FROM x\nENTRYPOINT ["copy", "${secret}"]`,
  ]) {
    const failure = failureOf(await worker.run(dockerfile));
    t.is(failure.reason, 'exit_code', failure.message);
  }
});

test('A folder of programs that is not there is said at the start', async (t) => {
  await using folder = await temporaryFolder();
  const programs = join(folder.path, 'none');
  await t.throwsAsync(openProcessRuntime({ folder: folder.path, programs, log: silentLog }), {
    code: 'invalid_request',
    message: `--programs: ${programs} is no folder that can be read.`,
  });
});
