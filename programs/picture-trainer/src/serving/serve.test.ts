import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { CATEGORIES, madeShard } from '../testing/pictures.ts';
import { openTraining } from '../testing/training.ts';
import { bytesOf, floatsOf } from '../training/checkpoint.ts';

const PROGRAM = new URL('../main.ts', import.meta.url).pathname;

/** Stands in for a worker: gives the calls that it is told, and keeps what is said of each. */
class Worker implements AsyncDisposable {
  readonly done = new Map<string, Record<string, unknown>>();
  readonly asked: string[] = [];
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  #waiting: ServerResponse | undefined;
  #calls: readonly object[] = [];
  #finished = Promise.withResolvers<void>();

  async listen(path: string): Promise<void> {
    await once(this.#server.listen(path), 'listening');
  }

  /** Gives calls together; resolves when all of them are answered. */
  async give(calls: readonly object[]): Promise<void> {
    this.#finished = Promise.withResolvers();
    this.#calls = calls;
    this.done.clear();
    this.#flush();
    await this.#finished.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #flush(): void {
    if (this.#waiting === undefined || this.#calls.length === 0) return;
    this.#waiting.setHeader('content-type', 'application/json').end(JSON.stringify({ calls: this.#calls }));
    this.#waiting = undefined;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.asked.push(`${request.method} ${request.url}`);
    if (request.url === '/done') {
      const { id, ...rest } = JSON.parse(await text(request)) as { id: string };
      this.done.set(id, rest);
      response.writeHead(204).end();
      if (this.done.size === this.#calls.length) {
        this.#calls = [];
        this.#finished.resolve();
      }
      return;
    }
    this.#waiting = response;
    this.#flush();
  }
}

test('A runner answers all calls that wait together, each with its own pictures, and says which call is wrong', async (t) => {
  await using training = await openTraining();
  await training.run({ epochs: 3 }, 'network');
  await using worker = new Worker();
  await worker.listen(training.at('socket'));
  const env = { ...process.env, ...training.environment('unused'), MORPHEO_RUNNER: training.at('socket') };
  const child = spawn(process.execPath, [PROGRAM, 'serve'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const [first] = await once(child.stdout, 'data');
  t.regex(String(first), /^Answers for pictures of 8 × 8 × 1 with \w+ \S+ on the [cg]pu\./);

  const { pixels } = madeShard({ count: 6, seed: 9 });
  const call = async (id: string, count: number, bytes: Uint8Array) => {
    const [inputs, outputs] = [training.at(`${id}-in`), training.at(`${id}-out`)];
    await Promise.all([inputs, outputs].map((folder) => mkdir(folder)));
    await writeFile(join(inputs, 'request.json'), JSON.stringify({ count }));
    await writeFile(join(inputs, 'pictures.u8'), bytes);
    return { id, inputs, outputs };
  };
  const answerOf = async ({ outputs }: { outputs: string }) => ({
    ...(JSON.parse(await readFile(join(outputs, 'answer.json'), 'utf8')) as { classes: number[] }),
    rows: floatsOf(await readFile(join(outputs, 'probabilities.f32'))),
  });
  const one = await call('one', 1, pixels.subarray(0, 64));
  const rest = await call('rest', 5, pixels.subarray(64));
  const wrong = await call('wrong', 2, pixels.subarray(0, 64));
  await worker.give([one, wrong, rest]);

  t.deepEqual(worker.done.get('one'), { ok: true });
  t.deepEqual(worker.done.get('rest'), { ok: true });
  t.deepEqual(worker.done.get('wrong'), {
    ...{ ok: false, type: 'Refusal' },
    message: 'pictures.u8 has 64 bytes, and 2 pictures of 8 × 8 × 1 have 128.',
  });
  const all = await call('all', 6, pixels);
  await worker.give([all]);
  const together = await answerOf(all);
  const apart = [await answerOf(one), await answerOf(rest)];
  t.deepEqual(together, {
    ...{ categories: [...CATEGORIES], classes: apart.flatMap(({ classes }) => classes) },
    rows: floatsOf(Buffer.concat(apart.map(({ rows }) => bytesOf(rows)))),
  } as unknown as typeof together);
  for (let row = 0; row < 6; row += 1) {
    const sum = together.rows.subarray(row * 3, row * 3 + 3).reduce((total, value) => total + value, 0);
    t.true(Math.abs(sum - 1) < 1e-5);
  }
  const label = await readFile(new URL('../../algorithm/Dockerfile', import.meta.url), 'utf8');
  t.regex(label, /morpheo\.runner="1" morpheo\.max_batch="32"/);
  t.deepEqual(new Set(worker.asked), new Set(['GET /next?max=32', 'POST /done']));
  child.kill('SIGKILL');
  await once(child, 'close');
});
