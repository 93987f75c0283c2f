import { randomUUID } from 'node:crypto';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';
import { RunnerPlaces } from './places.ts';

test('Who waits since too much is still to be removed is told when it is not any more', async (t) => {
  await using box = await temporaryFolder();
  const { promise, resolve } = Promise.withResolvers<void>();
  await using places = new RunnerPlaces(box.path, {
    hasHostPaths: true,
    onFailure: (error) => t.fail(String(error)),
    onCaughtUp: resolve,
  });
  for (let n = 0; n < 1000; n += 1) places.remove(randomUUID());
  t.true(places.isBehind);
  await promise;
  t.false(places.isBehind);
});
