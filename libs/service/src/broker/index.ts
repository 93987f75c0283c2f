export type { Broker, Subscribe, Subscription } from './broker.ts';
export type { MemoryBrokerOptions } from './memory.ts';
export { openMemoryBroker } from './memory.ts';
export { MOST_MESSAGE_BYTES } from './names.ts';
export { nsqdAddresses, nsqHttpAddresses } from './nsq/address.ts';
export type { NsqBrokerOptions } from './nsq/index.ts';
export { openNsqBroker } from './nsq/index.ts';
export type { NsqSecurityValues } from './nsq/settings.ts';
export { nsqSecurityProblems, nsqSecuritySettings, readNsqSecurity } from './nsq/settings.ts';
