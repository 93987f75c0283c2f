import { mkdir, mkdtempDisposable, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformError } from '@morpheo/common';
import { quickFolder } from '@morpheo/real-parts';
import { memoryLog } from '@morpheo/service/log';
import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { openFolderStore } from '../store/folder.ts';
import type { JobStore } from '../store/store.ts';
import { FakePlatform } from '../testing/fake-platform.ts';
import { newJob, openShepherd, post } from '../testing/open-shepherd.ts';

const TAKEN = { message: 'A job with this ID was already submitted' };

/** A store of which single calls can be broken. */
function breakable(store: JobStore) {
  const broken: { put?: string | undefined; all?: boolean } = {};
  const refuse = (): never => {
    throw new PlatformError('unavailable', 'The store does not answer.');
  };
  const breaking: JobStore = {
    ...store,
    create: async (bucket) => (broken.all === true ? refuse() : await store.create(bucket)),
    has: async (bucket) => (broken.all === true ? refuse() : await store.has(bucket)),
    read: async (bucket, name) => (broken.all === true ? refuse() : await store.read(bucket, name)),
    put: async (bucket, name, bytes, only) =>
      broken.all === true || broken.put === name ? refuse() : await store.put(bucket, name, bytes, only),
  };
  return { store: breaking, broken };
}

async function openStore(folder: string) {
  return breakable(await openFolderStore(join(folder, 'buckets')));
}

test('The id of a job that was started is taken: again it is 409, with the same payload or another', async (t) => {
  await using shepherd = await openShepherd();
  const body = newJob();
  t.is((await shepherd.start(body)).status, 200);
  for (const again of [body, { ...body, payload: 'other' }]) {
    const answer = await shepherd.start(again);
    t.deepEqual([answer.status, await answer.json()], [409, TAKEN]);
  }
  await shepherd.platform.work(body.job_id, { files: { output: '1' } });
  t.is((await shepherd.start(body)).status, 409);
  shepherd.platform.forget(body.job_id);
  t.is((await shepherd.start(body)).status, 409);
  t.is(await shepherd.file(body.job_id, 'inputs/input'), '{"input":"42"}');
});

test('A bucket that somebody else has made is taken, whatever is in it', async (t) => {
  await using shepherd = await openShepherd();
  const { store } = shepherd;
  const [empty, filled] = [newJob(), newJob()];
  await store.create(empty.job_id);
  await store.create(filled.job_id);
  await store.put(filled.job_id, 'inputs/input', Buffer.from('of somebody else'));
  for (const body of [empty, filled]) {
    const answer = await shepherd.start(body);
    t.deepEqual([answer.status, await answer.json()], [409, TAKEN]);
    t.is((await shepherd.ask(body.job_id, 'status')).status, 400);
  }
  t.is(await shepherd.file(filled.job_id, 'inputs/input'), 'of somebody else');
});

test('Of several that start the same job at the same time one is told that it did', async (t) => {
  const platform = new FakePlatform();
  await using one = await openShepherd({ platform });
  await using other = await openShepherd({ platform, store: one.store });
  const body = newJob();
  const answers = await Promise.all(
    [one, one, other, other].map(async ({ start }) => (await start(body)).status),
  );
  t.deepEqual(answers.sort(), [200, 409, 409, 409]);
});

test('An unknown sheep or model burns no id, and neither does compute-api that is away or refuses', async (t) => {
  await using shepherd = await openShepherd();
  const { platform } = shepherd;
  const body = newJob();
  t.is((await shepherd.start({ ...body, sheep_id: 'goat' })).status, 400);
  t.is((await shepherd.start({ ...body, model: { name: 'goat' } })).status, 400);
  t.false(await shepherd.store.has(body.job_id));
  platform.away.compute = true;
  t.is((await shepherd.start(body)).status, 503);
  platform.away.compute = false;
  platform.refusals.push(new PlatformError('invalid_order', 'It breaks a rule.'));
  const refused = await shepherd.start(body);
  t.deepEqual([refused.status, await refused.json()], [400, { message: 'It breaks a rule.' }]);
  t.is((await shepherd.ask(body.job_id, 'status')).status, 400);
  t.is((await shepherd.start(body)).status, 200);
});

test('A start that broke off goes on, also after a restart and with another payload', async (t) => {
  await using folder = await mkdtempDisposable(join(quickFolder(), 'shepherd-faults-'));
  const platform = new FakePlatform();
  const { store, broken } = await openStore(folder.path);
  const [bucketAlone, whole] = [newJob(), newJob()];
  {
    await using shepherd = await openShepherd({ platform, store, folder: folder.path });
    broken.put = 'inputs/input';
    t.is((await shepherd.start(bucketAlone)).status, 503);
    broken.put = undefined;
    platform.refusals.push(new PlatformError('unavailable', 'compute-api got no answer.'));
    t.is((await shepherd.start(whole)).status, 503);
  }
  await using shepherd = await openShepherd({ platform, store, folder: folder.path });
  t.is((await shepherd.start(bucketAlone)).status, 200);
  t.is((await shepherd.start({ ...whole, payload: 'another' })).status, 200);
  t.deepEqual(platform.inputsOf(whole.job_id), { '/in/input': 'another' });
});

test('A start that broke off in one process goes on in another, with the same payload', async (t) => {
  const platform = new FakePlatform();
  await using one = await openShepherd({ platform });
  await using other = await openShepherd({ platform, store: one.store });
  const body = newJob();
  platform.refusals.push(new PlatformError('unavailable', 'compute-api got no answer.'));
  t.is((await one.start(body)).status, 503);
  t.is((await other.start({ ...body, payload: 'another' })).status, 409);
  t.is((await other.start(body)).status, 200);
});

test('Jobs survive a restart: whoever asks finds them, and those that ended meanwhile are in their buckets', async (t) => {
  await using folder = await mkdtempDisposable(join(quickFolder(), 'shepherd-faults-'));
  const platform = new FakePlatform();
  const { store } = await openStore(folder.path);
  const [ended, failed, running] = [newJob(), newJob(), newJob()];
  {
    await using shepherd = await openShepherd({ platform, store, folder: folder.path });
    for (const body of [ended, failed, running]) t.is((await shepherd.start(body)).status, 200);
  }
  platform.end(ended.job_id, { files: { output: '1' } });
  platform.end(failed.job_id, { failure: { reason: 'exit_code', message: 'It failed.' } });
  platform.begin(running.job_id);
  await using shepherd = await openShepherd({ platform, store, folder: folder.path });
  // Nobody asks: it is the sweep of the start that does it.
  await eventually(t, async (t) => {
    t.is(await shepherd.file(ended.job_id, 'outputs/output'), '1');
    for (const [body, status] of [
      [ended, 'done'],
      [failed, 'failed'],
      [running, 'queued'],
    ] as const)
      t.like(JSON.parse((await shepherd.file(body.job_id, 'job_status.json')) ?? '{}'), { status });
  });
  t.like(await (await shepherd.ask(running.job_id, 'status')).json(), { status: 'processing' });
  platform.end(running.job_id, { files: { output: '2' } });
  t.is(await (await shepherd.ask(running.job_id, 'result')).text(), '2');
});

test('A sweep that cannot be done is tried again', async (t) => {
  await using one = await openShepherd();
  const { platform, store } = one;
  const body = newJob();
  await one.start(body);
  platform.end(body.job_id, { files: { output: '1' } });
  platform.away.compute = true;
  const log = memoryLog();
  await using _ = await openShepherd({ platform, store, log, askMs: 5 });
  await eventually(t, (t) =>
    t.true(log.entries.some(({ message }) => message.startsWith('Not all jobs could be looked at'))),
  );
  platform.away.compute = false;
  await eventually(t, async (t) => t.is(await one.file(body.job_id, 'outputs/output'), '1'));
});

test('A job that fails stops nothing', async (t) => {
  await using shepherd = await openShepherd();
  const { platform, ask } = shepherd;
  const [first, second, third] = [newJob(), newJob(), newJob()];
  for (const body of [first, second, third]) await shepherd.start(body);
  const waiting = [first, second, third].map(async ({ job_id }) => await ask(job_id, 'wait_ready'));
  await platform.work(first.job_id, { failure: { reason: 'exit_code', message: 'It failed.' } });
  await platform.work(second.job_id, { files: { output: '2' } });
  await platform.work(third.job_id, { failure: { reason: 'exit_code', message: 'It failed.' } });
  const ends = await Promise.all(
    waiting.map(async (answer) => ((await (await answer).json()) as { status: string }).status),
  );
  t.deepEqual(ends, ['failed', 'done', 'failed']);
});

test('What a callback could not finish it is asked for again, and the job is ended once', async (t) => {
  await using folder = await mkdtempDisposable(join(quickFolder(), 'shepherd-faults-'));
  const { store, broken } = await openStore(folder.path);
  await using shepherd = await openShepherd({ store, folder: folder.path });
  const { platform } = shepherd;
  const body = newJob();
  await shepherd.start(body);
  platform.end(body.job_id, { files: { output: '1' } });
  broken.put = 'job_status.json';
  t.is(await platform.tell(body.job_id), 503);
  t.is((await shepherd.ask(body.job_id, 'status')).status, 503);
  broken.put = undefined;
  platform.away.storage = true;
  t.is(await platform.tell(body.job_id), 503);
  platform.away.storage = false;
  t.is(await platform.tell(body.job_id), 204);
  t.is(platform.outputs.size, 0);
  t.is(await platform.tell(body.job_id), 204);
  t.is(await shepherd.file(body.job_id, 'outputs/output'), '1');
});

test('Any request about a job heals its bucket, where no callback came', async (t) => {
  await using shepherd = await openShepherd();
  const { platform, ask } = shepherd;
  for (const what of ['status', 'wait_ready', 'result']) {
    const body = newJob();
    await shepherd.start(body);
    platform.end(body.job_id, { files: { output: '1' } });
    t.is((await ask(body.job_id, what)).status, 200);
    t.is(await shepherd.file(body.job_id, 'outputs/output'), '1');
    t.regex((await shepherd.file(body.job_id, 'job_status.json')) ?? '', /"done"/);
  }
  t.is(platform.outputs.size, 0);
});

test('A job that has ended is known by its bucket, where compute-api has forgotten it or is away', async (t) => {
  await using shepherd = await openShepherd();
  const { platform, ask } = shepherd;
  const body = newJob();
  await shepherd.start(body);
  await platform.work(body.job_id, { files: { output: '1' } });
  platform.forget(body.job_id);
  platform.away.compute = true;
  platform.away.storage = true;
  t.like(await (await ask(body.job_id, 'status')).json(), { status: 'done' });
  t.is(await (await ask(body.job_id, 'result')).text(), '1');
});

test('wait_ready waits through an outage, and hears of an end of which another process was told', async (t) => {
  await using shepherd = await openShepherd({ askMs: 5 });
  const { platform, ask } = shepherd;
  const body = newJob();
  await shepherd.start(body);
  const waiting = ask(body.job_id, 'wait_ready');
  const more = async (than: number) => await eventually(t, (t) => t.true(platform.asked > than));
  await more(platform.asked);
  platform.away.compute = true;
  await more(platform.asked + 1);
  platform.end(body.job_id, { files: { output: '1' } });
  platform.away.compute = false;
  const answer = await waiting;
  t.is(answer.status, 200);
  t.like(await answer.json(), { status: 'done' });
});

test('Whoever waits is told at once where the service stops', async (t) => {
  const shepherd = await openShepherd();
  const body = newJob();
  await shepherd.start(body);
  const waiting = shepherd.ask(body.job_id, 'wait_ready');
  await eventually(t, async (t) => t.is((await fetch(`${shepherd.url}/health`)).status, 200));
  await shepherd[Symbol.asyncDispose]();
  const ended = await waiting.then(
    ({ status }) => status,
    () => 'cut',
  );
  t.true(ended === 503 || ended === 'cut');
});

test('A payload that is not ASCII is stored whole', async (t) => {
  await using shepherd = await openShepherd();
  const payload = '{"text":"täglich 🐑 日本"}';
  const body = newJob({ payload });
  t.is((await shepherd.start(body)).status, 200);
  t.is(await shepherd.file(body.job_id, 'inputs/input'), payload);
  t.deepEqual(shepherd.platform.inputsOf(body.job_id), { '/in/input': payload });
});

test('Where the store is away, every request about jobs is 503', async (t) => {
  await using folder = await mkdtempDisposable(join(quickFolder(), 'shepherd-faults-'));
  const { store, broken } = await openStore(folder.path);
  await using shepherd = await openShepherd({ store, folder: folder.path });
  const body = newJob();
  await shepherd.start(body);
  broken.all = true;
  t.is((await shepherd.start(newJob())).status, 503);
  for (const what of ['status', 'wait_ready', 'result', 'input']) {
    const answer = await shepherd.ask(body.job_id, what);
    t.deepEqual([answer.status, await answer.json()], [503, { message: 'The store does not answer.' }], what);
  }
});

test('Services that do not let shepherd-api in are 503 to its callers: they have no credentials to mend', async (t) => {
  await using shepherd = await openShepherd();
  shepherd.platform.refusals.push(
    new PlatformError('unauthenticated', 'These credentials are not known here.'),
  );
  const answer = await shepherd.start(newJob());
  t.is(answer.status, 503);
  t.regex(((await answer.json()) as { message: string }).message, /does not let this one in/);
});

test('Of a start that was refused since the id is taken nothing is kept', async (t) => {
  const platform = new FakePlatform();
  await using one = await openShepherd({ platform });
  await using other = await openShepherd({ platform, store: one.store });
  const body = newJob();
  t.is((await one.start(body)).status, 200);
  for (const { start } of [one, other]) t.is((await start(body)).status, 409);
  for (const { folder } of [one, other]) t.deepEqual(await readdir(join(folder, 'starting')), []);
});

test('Payloads that an earlier process had not read to their end are gone after the next start', async (t) => {
  await using folder = await mkdtempDisposable(join(quickFolder(), 'shepherd-faults-'));
  const payloads = join(folder.path, 'payloads');
  await mkdir(payloads);
  await writeFile(join(payloads, 'half'), 'of 10 GiB');
  await using _ = await openShepherd({ folder: folder.path });
  t.deepEqual(await readdir(payloads), []);
});

test('What is called job_status.json and cannot be one is as good as none, and is not read', async (t) => {
  await using shepherd = await openShepherd();
  const { platform, store } = shepherd;
  const body = newJob();
  await shepherd.start(body);
  const forged = { status: 'failed', error_details: null, model: body.model };
  const times = { enqueued_at: null, processing_started_at: null, finished_at: null };
  const text = JSON.stringify({ ...forged, ...times });
  await store.put(body.job_id, 'job_status.json', Buffer.from(text.padEnd(2 * 1024 ** 2)));
  t.like(await (await shepherd.ask(body.job_id, 'status')).json(), { status: 'queued' });
  await platform.work(body.job_id, { files: { output: '1' } });
  t.like(JSON.parse((await shepherd.file(body.job_id, 'job_status.json')) ?? ''), { status: 'done' });
});

test('A job that left a file which no bucket can have fails and says so, whoever tells of its end', async (t) => {
  await using shepherd = await openShepherd();
  const { platform, ask } = shepherd;
  const body = newJob();
  await shepherd.start(body);
  const long = Array(60).fill('a-long-name-of-a-folder').join('/');
  const waiting = ask(body.job_id, 'wait_ready');
  await platform.work(body.job_id, { files: { [long]: 'x', output: '1' } });
  t.is(await platform.tell(body.job_id), 204);
  for (const answer of [await waiting, await ask(body.job_id, 'wait_ready')]) {
    const status = (await answer.json()) as { status: string; error_details: { message: string } };
    t.is(status.status, 'failed');
    t.regex(status.error_details.message, /path has more than 1016 bytes.*a-long-name/);
  }
  t.is(await shepherd.file(body.job_id, 'outputs/output'), '1');
});

test('Whoever waits for a job whose outputs are not in its bucket in time is told so', async (t) => {
  const platform = new FakePlatform();
  const gate = Promise.withResolvers<void>();
  const listed = platform.storage.listOutputFiles;
  const storage = {
    ...platform.storage,
    listOutputFiles: async (...given: Parameters<typeof listed>) => {
      await gate.promise;
      return await listed(...given);
    },
  };
  await using shepherd = await openShepherd({ platform, storage, waitMs: 20 });
  const body = newJob();
  await shepherd.start(body);
  platform.begin(body.job_id);
  platform.end(body.job_id, { files: { output: '1' } });
  const answer = await shepherd.ask(body.job_id, 'wait_ready');
  t.is(answer.status, 504);
  t.like(await answer.json(), { status: 'processing', error_details: null, finished_at: null });
  gate.resolve();
  t.like(await (await shepherd.ask(body.job_id, 'status')).json(), { status: 'done' });
});

test('A job of which another process has brought the outputs meanwhile is told as it ended', async (t) => {
  const platform = new FakePlatform();
  await using one = await openShepherd({ platform });
  const body = newJob();
  await one.start(body);
  platform.end(body.job_id, { files: { output: '1' } });
  const listed = platform.storage.listOutputFiles;
  await using other = await openShepherd({
    ...{ platform, store: one.store },
    storage: {
      ...platform.storage,
      listOutputFiles: async (input, call) => {
        const page = await listed(input, call);
        await one.ask(body.job_id, 'status');
        return page;
      },
    },
  });
  t.like(await (await other.ask(body.job_id, 'status')).json(), { status: 'done' });
});

test('An address for callbacks may have a slash at its end; the token is no part of the path, which is logged', async (t) => {
  await using shepherd = await openShepherd({ callbackUrl: 'https://shepherd.example/of/a/proxy/' });
  const body = newJob();
  await shepherd.start(body);
  const callback = new URL(shepherd.platform.jobOf(body.job_id)?.callback ?? '');
  t.is(callback.pathname, `/of/a/proxy/v1/ended/${body.job_id}`);
  t.truthy(callback.searchParams.get('token'));
});

test('A callback with another token, or for another job, does nothing', async (t) => {
  await using shepherd = await openShepherd();
  const { platform, url } = shepherd;
  const [one, other] = [newJob(), newJob()];
  for (const body of [one, other]) await shepherd.start(body);
  platform.end(one.job_id, { files: { output: '1' } });
  const token = platform.jobOf(other.job_id)?.callback?.split('=').at(-1) ?? '';
  for (const path of [
    `${one.job_id}?token=${token}`,
    `${one.job_id}?token=x`,
    `${one.job_id}?token=${'a'.repeat(43)}`,
  ]) {
    t.is((await fetch(`${url}/v1/ended/${path}`, { method: 'POST' })).status, 403);
  }
  t.is(await shepherd.file(one.job_id, 'outputs/output'), undefined);
});

test('Where the bucket of a job is gone, its callback is content', async (t) => {
  const log = memoryLog();
  await using shepherd = await openShepherd({ log });
  const { platform, store } = shepherd;
  const body = newJob();
  await shepherd.start(body);
  platform.end(body.job_id, { files: { output: '1' } });
  const gone = store.write;
  store.write = async () => {
    throw new PlatformError('not_found', 'There is no bucket.');
  };
  t.is(await platform.tell(body.job_id), 204);
  t.true(log.entries.some(({ message }) => message === 'The bucket of a job that has ended is gone'));
  store.write = gone;
});

test('That anybody may start jobs is warned of where it listens beyond loopback, and callbacks come by loopback', async (t) => {
  const log = memoryLog();
  await using shepherd = await openShepherd({ log, host: '0.0.0.0' });
  t.true(log.entries.some(({ level, host }) => level === 'warn' && host === '0.0.0.0'));
  const body = newJob();
  const url = `http://127.0.0.1:${new URL(shepherd.url).port}`;
  t.is((await post(`${url}/start-job`, JSON.stringify(body))).status, 200);
  t.true(shepherd.platform.jobOf(body.job_id)?.callback?.startsWith(`${url}/v1/ended/${body.job_id}?`));
});
