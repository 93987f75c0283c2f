import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Broker } from './index.ts';

/** Collects what one subscriber hears. */
export async function listen(broker: Broker, topic: string, channel = 'test') {
  const messages: string[] = [];
  const handle = async (message: string) => {
    messages.push(message);
  };
  return { topic, messages, subscription: await broker.subscribe({ topic, channel, handle }) };
}

/** A subscriber whose handlers run until they are released. */
export async function listenGated(broker: Broker, concurrency: number) {
  const waiting: (() => void)[] = [];
  const state = { topic: uniqueTopic(), running: 0, mostRunning: 0, ended: [] as string[] };
  const handle = async (message: string) => {
    state.running += 1;
    state.mostRunning = Math.max(state.mostRunning, state.running);
    await new Promise<void>((resolve) => waiting.push(resolve));
    state.running -= 1;
    state.ended.push(message);
  };
  const subscription = await broker.subscribe({ topic: state.topic, channel: 'test', concurrency, handle });
  return Object.assign(state, { subscription, release: () => waiting.shift()?.() });
}

/** A topic that no other test, and no earlier run, has used. */
export function uniqueTopic(): string {
  return `test-${randomUUID().slice(0, 13)}`;
}

/** Resolves when the condition holds; rejects when it has not after a minute. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`Not within a minute: ${condition}`);
    await pause(5);
  }
}

/** What a promise rejects with; undefined where it resolves. */
export async function fault(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}
