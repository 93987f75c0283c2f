import { PlatformError } from '@morpheo/common';
import type { Random } from '@morpheo/real-parts';
import type { Broker, Subscribe } from '@morpheo/service/broker';
import type { Faults } from '../faults/faults.ts';
import type { Machine } from './machine.ts';
import { sleep } from './virtual-time.ts';

interface Listener {
  readonly machine: Machine;
  readonly options: Subscribe;
  hears: boolean;
}

/** A broker that loses messages, brings them late or twice, and may be away; what its port allows, it does. */
export class LossyBroker {
  readonly #listeners = new Set<Listener>();
  readonly #faults: Faults;
  readonly #random: Random;

  constructor(faults: Faults, random: Random) {
    this.#faults = faults;
    this.#random = random;
  }

  /** The broker as a process sees it. */
  seenBy(machine: Machine): Broker {
    return {
      publish: async (topic, message) => await this.#publish(machine, topic, message),
      subscribe: async (options) => {
        const listener: Listener = { machine, options, hears: true };
        this.#listeners.add(listener);
        return {
          pause: () => {
            listener.hears = false;
          },
          resume: () => {
            listener.hears = true;
          },
          drain: async () => undefined,
          [Symbol.asyncDispose]: async () => void this.#listeners.delete(listener),
        };
      },
      ping: async () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    };
  }

  async #publish(machine: Machine, topic: string, message: string): Promise<void> {
    await machine.pass();
    if (this.#faults.isCut('broker')) throw away();
    const fate = this.#faults.publication();
    if (fate === 'lost') return;
    // As long as the port lets a publication take.
    if (fate === 'late') await sleep(2000);
    if (fate === 'failed' || fate === 'late') throw away();
    const channels = new Set([...this.#of(topic)].map(({ options }) => options.channel));
    for (const channel of channels) {
      if (this.#faults.lose('message')) continue;
      const times = this.#faults.lose('message') ? 2 : 1;
      for (let time = 0; time < times; time += 1) this.#deliver(topic, channel, message);
    }
    if (fate === 'unsure') throw away();
  }

  #deliver(topic: string, channel: string, message: string): void {
    const late = async (): Promise<void> => {
      await sleep(this.#faults.latency());
      const ready = [...this.#of(topic)].filter(
        ({ options, hears, machine }) => options.channel === channel && hears && machine.isUp,
      );
      if (ready.length > 0) await this.#random.pick(ready).options.handle(message);
    };
    void late();
  }

  #of(topic: string): Listener[] {
    return [...this.#listeners].filter(({ options }) => options.topic === topic);
  }
}

function away(): PlatformError {
  return new PlatformError('unavailable', 'The broker does not answer.');
}
