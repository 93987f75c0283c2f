import { startNsqd, startNsqlookupd, withParts } from '@morpheo/real-parts';
import ava from 'ava';
import { silentLog } from '../../log/index.ts';
import { testBroker } from '../conformance.ts';
import { openNsqBroker } from '../index.ts';

const test = withParts(ava, 'nsq');
const servers = new AsyncDisposableStack();
const places: { nsqd: string; lookupd: string } = { nsqd: '', lookupd: '' };

test.before(async () => {
  places.nsqd = servers.use(await startNsqd()).tcp;
  const lookupd = servers.use(await startNsqlookupd());
  places.lookupd = lookupd.http;
  for (let n = 0; n < 3; n += 1) servers.use(await startNsqd({ lookupds: [lookupd.tcp] }));
});
test.after.always(async () => await servers.disposeAsync());

testBroker({ name: 'nsqd', open: async () => openNsqBroker({ nsqds: [places.nsqd], log: silentLog }) }, test);

testBroker(
  {
    name: 'three nsqds behind nsqlookupd',
    open: async () => openNsqBroker({ lookupds: [places.lookupd], log: silentLog }),
  },
  // In turn: each subscription asks and is asked a lot, and would find a busy machine.
  test.serial,
);
