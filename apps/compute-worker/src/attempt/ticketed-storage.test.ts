import { PlatformError } from '@morpheo/common';
import test from 'ava';
import { type AttemptStorage, ticketedStorage } from './ticketed-storage.ts';

function refusing(error: PlatformError): AttemptStorage {
  const refuse = async () => await Promise.reject(error);
  const calls = { get: refuse, getBlob: refuse, getDataBlob: refuse, stageResult: refuse };
  return { ...calls, putCheckpoint: refuse, getCheckpoint: refuse };
}

const place = { params: { type: 'problem', uuid: '00000000-0000-4000-8000-000000000000' } } as const;

test('A ticket that storage does not know is told by what to do, without addresses', async (t) => {
  const refusal = new PlatformError('unauthenticated', 'GET http://10.0.0.7/problem answered 401.');
  await t.throwsAsync(ticketedStorage(refusing(refusal), () => 'a ticket').get(place), {
    code: 'unauthenticated',
    message:
      'storage-api does not know the ticket of this attempt: compute-api and storage-api need the same ticket key, --ticket-key-file.',
  });
});

test('Other refusals stay what they are: of a worker without ticket, of a ticket that has expired, of the attempt', async (t) => {
  const expired = new PlatformError('unauthenticated', 'No longer good.', { details: { ticket: 'expired' } });
  const stale = new PlatformError('stale_attempt', 'Overtaken.');
  const unknown = new PlatformError('unauthenticated', 'Not known.');
  for (const [error, ticket] of [
    [expired, 'a ticket'],
    [stale, 'a ticket'],
    [unknown, undefined],
  ] as const) {
    const thrown = await t.throwsAsync(ticketedStorage(refusing(error), () => ticket).get(place));
    t.is(thrown, error);
  }
});
