import { withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava, { type TestFn } from 'ava';
import { nothingLeft, starts, untilEnded, waitingContainer } from '../testing/worker-checks.ts';
import { openWorkerFixture, sharedDaemon } from '../testing/worker-fixture.ts';

const test = withParts(ava as TestFn, 'docker');
const daemon = sharedDaemon();
/** Long enough for a worker to be started again on a busy machine. */
const LEASE_MS = 90_000;

test.after.always('the daemon goes', async () => await daemon[Symbol.asyncDispose]());

/** The metrics of a job that has counted, without a gap and without repeating a number. */
function countedTo(last: number): unknown[] {
  return Array.from({ length: last }, (_, index) => ({ at: index + 1 }));
}

test.serial(
  'A job goes on while its worker starts again, and each of its metrics stands once in its history',
  async (t) => {
    t.timeout(600_000, 'the first daemon of a machine makes the images');
    await using fixture = await openWorkerFixture(await daemon.dind(), LEASE_MS);
    const worker = fixture.worker({ 'docker-data': 'archive' });
    worker.start();
    const order = await fixture.job();
    const container = await waitingContainer(t, fixture, order, 'job');
    await eventually(t, async (t) => t.regex(await fixture.log(order), /tick 10/));
    await worker.kill();
    worker.start();
    await eventually(t, (t) => t.regex(worker.printed, /A container is taken up/));
    const before = (await fixture.log(order)).length;
    await eventually(t, async (t) => t.regex((await fixture.log(order)).slice(before), /tick/));
    await fixture.docker('kill', '-s', 'USR2', container.id);
    await untilEnded(t, fixture, order);
    const { status, attempt, result, failure } = await fixture.order(order);
    t.like({ status, attempt }, { status: 'done', attempt: 1 }, JSON.stringify(failure));
    t.is(await starts(fixture, order, 'job'), 1);
    const told = await fixture.metrics(order);
    t.deepEqual(told, countedTo(told.length));
    t.true(told.length >= 10);
    const files = await fixture.storage.listOutputFiles({ params: { uuid: result?.uuid ?? '' }, query: {} });
    t.deepEqual(
      files.items.map(({ path }) => path),
      ['metrics.jsonl', 'result'],
    );
    await nothingLeft(t, fixture, worker);
  },
);

test.serial(
  'A job whose worker stops goes on elsewhere from its checkpoint, and repeats no step of it',
  async (t) => {
    await using fixture = await openWorkerFixture(await daemon.dind(), LEASE_MS);
    const [first, second] = [fixture.worker({ grace: '1ms' }), fixture.worker()];
    first.start();
    const order = await fixture.job();
    await waitingContainer(t, fixture, order, 'job');
    await first.kill('SIGTERM');
    second.start();
    await eventually(t, async (t) => t.is(await starts(fixture, order, 'job'), 2));
    const container = await waitingContainer(t, fixture, order, 'job', 2);
    await fixture.docker('kill', '-s', 'USR2', container.id);
    await untilEnded(t, fixture, order);
    t.like(await fixture.order(order), { status: 'done', attempt: 2 });
    t.regex(await fixture.log(order), /checkpoint: goes on from 1 file, /);
    const told = await fixture.metrics(order);
    t.deepEqual(told, countedTo(told.length));
    await nothingLeft(t, fixture, first, second);
  },
);
