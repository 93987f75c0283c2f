import { silentLog } from '../../log/index.ts';
import { openNsqBroker } from '../index.ts';

// Opens a broker, uses it, closes it, and then has nothing to do: the process ends unless something was left behind.
const [nsqd = '', lookupd = ''] = process.argv.slice(2);
const broker = openNsqBroker({ nsqds: [nsqd], lookupds: lookupd === '' ? [] : [lookupd], log: silentLog });
await broker.subscribe({ topic: 'train', channel: 'test', handle: async () => undefined });
await broker.publish('train', 'x').catch(() => undefined);
await broker.ping().catch(() => undefined);
await broker[Symbol.asyncDispose]();
process.stdout.write(JSON.stringify(process.getActiveResourcesInfo()));
