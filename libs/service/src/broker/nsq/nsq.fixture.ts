import type { NsqServer } from '@morpheo/real-parts';
import { z } from 'zod';
import { type MemoryLog, memoryLog } from '../../log/index.ts';
import { type Broker, openNsqBroker } from '../index.ts';
import { NSQ_TIMES, type NsqTimes } from './connection.ts';
import type { NsqBrokerOptions } from './index.ts';

/** A broker of a test, with what it logged. */
export interface BrokerOfTest extends Broker {
  readonly log: MemoryLog;
  /** The lines of a level, without their fields. */
  said(level: 'warn' | 'info'): string[];
}

/** For tests in which every nsqd answers in the end: a busy machine takes its time. */
const PATIENT: NsqTimes = {
  publishMs: 60_000,
  leastShareMs: 30_000,
  subscribeMs: 60_000,
  handshakeMs: 60_000,
};

/** Opens a broker at these nsqds, which are waited for. */
export function openAt(...nsqds: readonly NsqServer[]): BrokerOfTest {
  return openWith({ nsqds: nsqds.map((server) => server.tcp) });
}

/** Opens a broker at these nsqds, which are given up as soon as a service does. */
export function openHastilyAt(...nsqds: readonly NsqServer[]): BrokerOfTest {
  return openWith({ nsqds: nsqds.map((server) => server.tcp), times: NSQ_TIMES });
}

/** Opens a broker, whose nsqds are waited for where nothing else is said. */
export function openWith(options: Omit<NsqBrokerOptions, 'log'>): BrokerOfTest {
  const log = memoryLog();
  const broker = openNsqBroker({ times: PATIENT, ...options, log });
  return {
    log,
    said: (level) => log.entries.filter((entry) => entry.level === level).map((entry) => entry.message),
    publish: async (topic, message) => await broker.publish(topic, message),
    subscribe: async (what) => await broker.subscribe(what),
    ping: async (signal) => await broker.ping(signal),
    [Symbol.asyncDispose]: async () => await broker[Symbol.asyncDispose](),
  };
}

const client = z.looseObject({ connect_ts: z.number(), user_agent: z.string() });
const channel = z.looseObject({
  channel_name: z.string(),
  depth: z.number(),
  in_flight_count: z.number(),
  requeue_count: z.number(),
  timeout_count: z.number(),
  clients: z.array(client).nullable(),
});
const stats = z.looseObject({
  topics: z.array(
    z.looseObject({ topic_name: z.string(), message_count: z.number(), channels: z.array(channel) }),
  ),
  producers: z.array(z.looseObject({})).nullable(),
});

/** What an nsqd says of its topics. */
export async function statsOf(server: NsqServer) {
  return stats.parse(await (await fetch(`http://${server.http}/stats?format=json`)).json());
}

/** What an nsqd says of a topic's only channel; throws where it has not got it. */
export async function channelOf(server: NsqServer, topic: string) {
  const [found] = (await statsOf(server)).topics.find((one) => one.topic_name === topic)?.channels ?? [];
  if (found === undefined) throw new Error(`nsqd has no channel of ${topic}`);
  return found;
}

/** How many messages of a topic an nsqd ever got. */
export async function countAt(server: NsqServer, topic: string): Promise<number> {
  const found = (await statsOf(server)).topics.find((one) => one.topic_name === topic);
  return found?.message_count ?? 0;
}
