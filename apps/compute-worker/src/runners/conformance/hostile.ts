import { sleep } from '@morpheo/common';
import type { ExecutionContext, TestFn } from 'ava';
import type { RunResult } from '../../runtime/index.ts';
import { CallFailed, CallTimedOut, ProtocolFault, RunnerBroken, RunnerEnded } from '../errors.ts';
import type { RunnerPlan } from '../index.ts';
import { type Contract, type ContractHarness, openContract, type TestRunner } from './contract-fixture.ts';

/** Asks the worker as a program does that keeps no contract: `talk` is a function of a connected socket. */
const raw = (talk: string) => `
  import * as net from 'node:net';
  const socket = net.connect(process.env.MORPHEO_RUNNER);
  socket.on('error', () => undefined);
  socket.on('data', (bytes) => console.log(String(bytes)));
  setInterval(() => undefined, 1000);
  (${talk})(socket);`;

/** A call that is under way in another runner than those that do harm. */
interface Bystander extends Disposable {
  /** Has it answered, and checks that it noticed nothing. */
  untouched(t: ExecutionContext): Promise<void>;
}

const SHARED_RUNNER: TestRunner = { maxBatch: 2, environment: { MAX: '2', PIPELINED: 'yes' } };

/** What runners do that break the contract, or their bounds: a clear error to who called, and to nobody else. */
export function testHostileRunners(harness: ContractHarness, test: TestFn): void {
  const { name, isolates } = harness;
  let opened: Promise<{ contract: Contract; peaceful: RunnerPlan }> | undefined;
  const open = async () => {
    opened ??= (async () => {
      const contract = await openContract(harness);
      return { contract, peaceful: await contract.plan(SHARED_RUNNER) };
    })();
    return await opened;
  };
  test.after.always(`${name}: the runners go`, async () => {
    await (await opened)?.contract[Symbol.asyncDispose]();
  });
  const beside = async (): Promise<{ contract: Contract; bystander: Bystander }> => {
    const { contract, peaceful } = await open();
    const before = await contract.obey(peaceful, 'keeps.go = Promise.withResolvers()');
    const over = new AbortController();
    const here = Promise.withResolvers<void>();
    const waiting = contract.obey(peaceful, `console.log('here'); await keeps.go.promise`, {
      onOutput: async () => here.resolve(),
      signal: over.signal,
    });
    waiting.catch(() => undefined);
    await Promise.race([here.promise, waiting]);
    const bystander = {
      untouched: async (t: ExecutionContext) => {
        await contract.obey(peaceful, 'keeps.go.resolve()');
        t.is((await waiting).runner, before.runner, 'a call in another runner has noticed nothing');
      },
      [Symbol.dispose]: () => over.abort(),
    };
    return { contract, bystander };
  };
  /** One call to a runner that is `SHARED_RUNNER`, while another is under way in it; what both come to. */
  const together = async (contract: Contract, program: string, runner: TestRunner = {}) => {
    const plan = await contract.plan({ ...SHARED_RUNNER, ...runner });
    const here = Promise.withResolvers<void>();
    const other = contract.obey(plan, `console.log('here'); await new Promise(() => undefined);`, {
      onOutput: async () => here.resolve(),
    });
    other.catch(() => undefined);
    await Promise.race([here.promise, other]);
    const [one, two] = await Promise.allSettled([contract.obey(plan, program), other]);
    return { plan, one, two };
  };
  const reasonOf = (result: PromiseSettledResult<unknown>): unknown =>
    result.status === 'rejected' ? result.reason : undefined;
  const faultOf = (t: ExecutionContext, error: unknown, message: RegExp, alone: boolean) => {
    if (!(error instanceof RunnerEnded)) return t.fail(`it is no RunnerEnded: ${error}`);
    t.true(error.why instanceof ProtocolFault);
    t.regex(error.message, message);
    t.is(error.alone, alone);
  };
  const endOf = (t: ExecutionContext, error: unknown, end: Partial<RunResult>) => {
    if (!(error instanceof RunnerEnded)) return t.fail(`it is no RunnerEnded: ${error}`);
    t.like(error.why, end);
  };

  const conflicts: Record<string, string> = {
    'answers twice': `await ask('POST', '/done', { id, ok: true }); await ask('POST', '/done', { id, ok: true }); return 'said'`,
    'answers a call that is not its own': `await ask('POST', '/done', { id: '00000000-0000-4000-8000-000000000000', ok: true }); return 'said'`,
  };
  for (const [what, program] of Object.entries(conflicts)) {
    test.serial(`${name}: A runner that ${what} ends, with the calls that it has`, async (t) => {
      const { contract, bystander } = await beside();
      using _ = bystander;
      const { plan, one, two } = await together(contract, program);
      if (what === 'answers twice') t.is(one.status, 'fulfilled');
      else faultOf(t, reasonOf(one), /not \(or no longer\) its call/, false);
      faultOf(t, reasonOf(two), /which (is not|it has answered)/, what === 'answers twice');
      t.is((await contract.obey(plan, '')).reused, 0, 'the next call has another runner');
      await bystander.untouched(t);
    });
  }

  test.serial(
    `${name}: An answer that comes too late is nobody's, and the other calls are answered`,
    async (t) => {
      const { contract, bystander } = await beside();
      using _ = bystander;
      const late = `keeps.late = async () => (await ask('POST', '/done', { id, ok: true })).status; console.log('here');
      await new Promise(() => undefined)`;
      // On a busy machine the second call may come when the first has had its time already: then it is in another runner.
      for (const wallMs of [1000, 4000, 16_000, 64_000]) {
        const plan = await contract.plan({ ...SHARED_RUNNER, limits: { wallMs } });
        const after = `await new Promise((resolve) => setTimeout(resolve, ${0.75 * wallMs}));
        fs.writeFileSync(outputs + '/answer', String((await keeps.late?.()) ?? 'elsewhere'));`;
        const here = Promise.withResolvers<void>();
        const onOutput = async () => here.resolve();
        const first = t.throwsAsync(contract.obey(plan, late, { onOutput }), { instanceOf: CallTimedOut });
        await Promise.race([here.promise, first]);
        await sleep(wallMs / 2);
        const second = await contract.obey(plan, after).catch(() => undefined);
        t.like(await first, { phase: 'running', limitMs: wallMs });
        if (second === undefined || second.value === 'elsewhere') continue;
        t.is(second.value, '204');
        const next = await contract.obey(plan, '');
        t.not(next.runner, second.runner, 'no further call is given to a program that took too long');
        return await bystander.untouched(t);
      }
      t.fail('it was never answered');
    },
  );

  const nonsense: Record<string, [talk: string, message: RegExp]> = {
    'speaks no HTTP': [`(socket) => socket.write('hello worker\\r\\n\\r\\n')`, /does not speak HTTP\/1\.1/],
    'asks for what there is not': [
      `(socket) => socket.write('GET /secrets HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n')`,
      /GET \/secrets/,
    ],
    'asks for more calls than there can be': [
      `(socket) => socket.write('GET /next?max=100000 HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n')`,
      /max=100000/,
    ],
    'sends header fields without end': [
      `(socket) => { socket.write('GET /next HTTP/1.1\\r\\n'); const more = () => { while (socket.write('x: ' + 'y'.repeat(1000) + '\\r\\n')); socket.once('drain', more); }; more(); }`,
      /does not speak HTTP\/1\.1/,
    ],
  };
  for (const [what, [talk, message]] of Object.entries(nonsense)) {
    test.serial(`${name}: A program that ${what} before it is ready does not start`, async (t) => {
      const { contract, bystander } = await beside();
      using _ = bystander;
      const error = await t.throwsAsync(contract.obey(await contract.plan({ program: raw(talk) }), ''), {
        instanceOf: RunnerBroken,
      });
      t.regex(error.message, message);
      await bystander.untouched(t);
    });
  }

  const answers: Record<string, [program: string, message: RegExp]> = {
    'says 1 GiB of JSON': [
      `await ask('POST', '/done', '', { 'content-length': 2 ** 30 }).catch(() => undefined); return 'said'`,
      /more than 65536 bytes/,
    ],
    'sends 1 GiB of JSON without saying so': [
      `const socket = net.connect(socketPath); socket.on('error', () => undefined);
        socket.write('POST /done HTTP/1.1\\r\\nhost: x\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n');
        const piece = '100000\\r\\n' + 'x'.repeat(2 ** 20) + '\\r\\n';
        let sent = 0;
        const more = () => { while (sent < 2 ** 30 && socket.write(piece)) sent += 2 ** 20; socket.once('drain', more); };
        more(); return 'said'`,
      /more than 65536 bytes/,
    ],
    'sends JSON of another kind': [
      `await ask('POST', '/done', { id, ok: 'yes', secret: 1 }).catch(() => undefined); return 'said'`,
      /not of the contract: ok/,
    ],
    'sends what is no JSON': [
      `await ask('POST', '/done', '{{{').catch(() => undefined); return 'said'`,
      /not JSON/,
    ],
  };
  for (const [what, [program, message]] of Object.entries(answers)) {
    test.serial(`${name}: A runner that ${what} ends, and its worker takes no harm`, async (t) => {
      const { contract, bystander } = await beside();
      using _ = bystander;
      const before = process.memoryUsage().rss;
      const plan = await contract.plan();
      faultOf(t, await t.throwsAsync(contract.obey(plan, program)), message, true);
      const grown = process.memoryUsage().rss - before;
      t.true(grown < 500_000_000, `the worker has grown by ${grown} bytes`);
      t.is((await contract.obey(plan, '')).reused, 0);
      await bystander.untouched(t);
    });
  }

  test.serial(`${name}: A link in the place of its outputs gets a runner nothing`, async (t) => {
    const { contract, bystander } = await beside();
    using _ = bystander;
    const plan = await contract.plan();
    const program = `try { fs.rmSync(outputs, { recursive: true }); fs.symlinkSync('/etc', outputs); }
      catch ({ code }) { return { id, ok: false, message: code }; }`;
    const error = await t.throwsAsync(contract.obey(plan, program));
    // Where the folder of the call is not its own it cannot even try.
    if (error instanceof CallFailed) t.regex(error.message, /^(EACCES|EPERM)$/);
    else faultOf(t, error, /something else in the place of the folder/, true);
    await bystander.untouched(t);
  });

  test.serial(
    `${name}: A runner that dies in the middle takes down its calls alone, and tells how it ended`,
    async (t) => {
      const { contract, bystander } = await beside();
      using _ = bystander;
      const { plan, one, two } = await together(contract, `console.error('out of ideas'); process.exit(3)`);
      for (const result of [one, two]) {
        endOf(t, reasonOf(result), { ended: 'exited', exitCode: 3 });
        t.like(reasonOf(result), { alone: false, phase: 'running' });
      }
      const error = await t.throwsAsync(
        contract.obey(
          plan,
          `console.error('out of ideas'); process.kill(process.pid, 'SIGSEGV'); await new Promise(() => undefined)`,
        ),
      );
      endOf(t, error, { ended: 'exited', exitCode: 139 });
      t.like(error, { alone: true });
      t.true(error instanceof RunnerEnded && error.tail.includes('out of ideas'));
      await bystander.untouched(t);
    },
  );

  test.serial(`${name}: Nothing is left of a runner that forks, and others go on meanwhile`, async (t) => {
    const { contract, bystander } = await beside();
    using _ = bystander;
    const plan = await contract.plan({ limits: { processes: 64 } });
    const forks = `const { spawn } = await import('node:child_process');
      let started = 0; let refused = 0;
      for (let n = 0; n < 200; n += 1) {
        const child = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' });
        child.on('error', () => { refused += 1; });
        if (child.pid !== undefined) started += 1;
      }
      fs.writeFileSync(outputs + '/answer', String(started)); return { id, ok: false, message: 'enough' }`;
    const counted = forks.replace("return { id, ok: false, message: 'enough' }", '');
    const { value } = await contract.obey(plan, counted);
    t.true(isolates ? Number(value) < 64 : Number(value) === 200, value);
    await t.throwsAsync(contract.obey(plan, "return { id, ok: false, message: 'enough' }"), {
      instanceOf: CallFailed,
    });
    t.is((await contract.obey(plan, '')).reused, 0);
    await bystander.untouched(t);
  });

  const places = isolates
    ? ['outputs', '"/tmp"', '"/dev/shm"', 'process.env.HOME']
    : ['outputs', 'process.env.TMPDIR'];
  test.serial(`${name}: A runner that fills its disk ends, wherever it writes`, async (t) => {
    const { contract, bystander } = await beside();
    using _ = bystander;
    const plan = await contract.plan({ limits: { diskBytes: 20_000_000 } });
    for (const place of places) {
      const fills = `const bytes = Buffer.alloc(1_000_000, 1);
        for (let n = 0; ; n += 1) { fs.writeFileSync(${place} + '/' + n, bytes); await new Promise((resolve) => setTimeout(resolve, 5)); }`;
      endOf(t, await t.throwsAsync(contract.obey(plan, fills)), { ended: 'disk_full' });
    }
    const files = `for (let n = 0; ; n += 1) { fs.writeFileSync(outputs + '/' + n, ''); if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1)); }`;
    endOf(t, await t.throwsAsync(contract.obey(plan, files)), { ended: 'disk_full' });
    t.is((await contract.obey(plan, '')).reused, 0);
    await bystander.untouched(t);
  });

  test.serial(
    `${name}: A runner that connects again and again gets few connections, and its calls go on`,
    async (t) => {
      const { contract, bystander } = await beside();
      using _ = bystander;
      const plan = await contract.plan();
      // It answers once the worker has hung up on all but those that a runner may have.
      const connects = `let held = 200;
        for (let n = held; n > 0; n -= 1)
          net.connect(socketPath).on('error', () => undefined).on('close', () => { held -= 1; });
        while (held > 80) await new Promise((resolve) => setTimeout(resolve, 5));`;
      const { runner } = await contract.obey(plan, connects);
      t.is((await contract.obey(plan, '')).runner, runner);
      await bystander.untouched(t);
    },
  );

  test.serial(`${name}: A runner that prints without end ends`, async (t) => {
    const { contract, bystander } = await beside();
    using _ = bystander;
    const plan = await contract.plan({ limits: { outputBytes: 1_000_000 } });
    const prints = `const line = 'x'.repeat(10_000) + '\\n';
      for (;;) if (!process.stdout.write(line)) await new Promise((resolve) => process.stdout.once('drain', resolve));`;
    endOf(t, await t.throwsAsync(contract.obey(plan, prints)), { ended: 'output_limit' });
    t.is((await contract.obey(plan, '')).reused, 0);
    await bystander.untouched(t);
  });

  test.serial(
    `${name}: A runner that takes too much memory ends, and one that would is not begun`,
    async (t) => {
      const { contract, bystander } = await beside();
      using _ = bystander;
      const plan = await contract.plan({ limits: { memoryBytes: 300_000_000 } });
      const grows = `keeps.all = []; for (;;) { keeps.all.push(Buffer.alloc(20_000_000, 1)); await new Promise((resolve) => setTimeout(resolve, 10)); }`;
      endOf(t, await t.throwsAsync(contract.obey(plan, grows)), { ended: 'out_of_memory' });
      const large = await contract.plan({ limits: { memoryBytes: 20 * 1024 ** 3 } });
      const refused = await t.throwsAsync(contract.obey(large, ''), { code: 'invalid_order' });
      t.regex(refused.message, /21\.5 GB of memory cannot be here/);
      await bystander.untouched(t);
    },
  );

  test.serial(
    `${name}: A model that its memory does not hold never starts, and who calls is told why`,
    async (t) => {
      const { contract, bystander } = await beside();
      using _ = bystander;
      const program = `console.log('loading'); const all = []; setInterval(() => all.push(Buffer.alloc(50_000_000, 1)), 10);`;
      const plan = await contract.plan({ program, limits: { memoryBytes: 300_000_000 } });
      const error = await t.throwsAsync(contract.obey(plan, ''), { instanceOf: RunnerBroken });
      t.regex(error.message, /3 starts in a row .*out_of_memory/);
      t.deepEqual(error.tail, ['loading']);
      await t.throwsAsync(
        contract.obey(plan, ''),
        { instanceOf: RunnerBroken },
        'and those after it, at once',
      );
      await bystander.untouched(t);
    },
  );

  test.serial(`${name}: A program that never connects, or ends before, does not start`, async (t) => {
    const { contract, bystander } = await beside();
    using _ = bystander;
    const program = `console.log('I wait'); setInterval(() => undefined, 1000)`;
    const call = { fill: async () => undefined, take: async () => '', signal: new AbortController().signal };
    // On a busy machine the program may not even have begun.
    for (const startMs of [1000, 5000, 25_000]) {
      const runners = await contract.others({ startMs });
      const calling = runners.call({ plan: await contract.plan({ program }), ...call });
      const error = await t.throwsAsync(calling, { instanceOf: RunnerBroken });
      t.regex(error.message, /had not asked for a call after/);
      if (error.tail.length === 0 && startMs < 25_000) continue;
      t.deepEqual(error.tail, ['I wait']);
      break;
    }
    const gone = await contract.plan({ program: `console.error('no model'); process.exit(7)` });
    const ended = await t.throwsAsync(contract.obey(gone, ''), { instanceOf: RunnerBroken });
    t.regex(ended.message, /it ended with exit code 7/);
    t.deepEqual(ended.tail, ['no model']);
    await bystander.untouched(t);
  });
}
