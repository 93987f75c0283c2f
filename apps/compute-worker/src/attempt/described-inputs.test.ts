import { randomUUID } from 'node:crypto';
import { PlatformError, type Resource } from '@morpheo/common';
import test from 'ava';
import { describedAtOnce } from './described-inputs.ts';

const attempt = { order: randomUUID(), attempt: 1, signal: new AbortController().signal };

function thing(): Resource {
  return { uuid: randomUUID(), timestamp_upload: 0, size: 1, sha256: '0'.repeat(64) };
}

/** A storage where an attempt uses some things and there are others, and how often it was asked for each. */
function storageOf(used: readonly Resource[], others: readonly Resource[]) {
  const calls: string[] = [];
  const get = async ({ params: { uuid } }: { readonly params: { readonly uuid: string } }) => {
    calls.push('get');
    const found = [...used, ...others].find((resource) => resource.uuid === uuid);
    if (found === undefined) throw new PlatformError('not_found', 'It is not there.');
    return found;
  };
  const pinnedInputs = async () => {
    calls.push('pinnedInputs');
    return { inputs: used.map((resource) => ({ type: 'data' as const, resource })) };
  };
  return { calls, api: { get, pinnedInputs } };
}

const asked = ({ uuid }: Resource) => ({ params: { type: 'data' as const, uuid } });

test('What an attempt uses is asked for in one call, and the rest of it by itself', async (t) => {
  const [one, two, three] = [thing(), thing(), thing()];
  const { api, calls } = storageOf([one, two], [three]);
  const get = describedAtOnce(api, { ...attempt, ticket: () => 'a ticket' });
  t.deepEqual(await Promise.all([one, two, three].map(async (each) => await get(asked(each)))), [
    one,
    two,
    three,
  ]);
  t.deepEqual(calls, ['pinnedInputs', 'get']);
});

test('Where storage does not answer that, or there is no ticket, each is asked for by itself', async (t) => {
  const one = thing();
  const { api, calls } = storageOf([one], []);
  const away = { ...api, pinnedInputs: async () => await Promise.reject(new Error('no such route')) };
  t.is(await describedAtOnce(away, { ...attempt, ticket: () => 'a ticket' })(asked(one)), one);
  t.is(await describedAtOnce(api, { ...attempt, ticket: () => undefined })(asked(one)), one);
  t.deepEqual(calls, ['get', 'get']);
});
