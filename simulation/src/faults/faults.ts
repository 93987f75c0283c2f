import type { Random } from '@morpheo/real-parts';

/** How often what goes wrong, as probabilities of each call, message or write; drawn per seed. */
export interface Profile {
  readonly lostRequests: number;
  readonly lostAnswers: number;
  readonly hangs: number;
  readonly slow: number;
  /** Calls that come once more, much later: a proxy tried again, a packet was kept. */
  readonly repeats: number;
  readonly lostMessages: number;
  readonly failedWrites: number;
  /** Writes that are committed, although their caller is told otherwise. */
  readonly unsureWrites: number;
  /** Writes that are answered and forgotten: what nothing can bear, for the proof that the account finds it. */
  readonly forgottenWrites: number;
  readonly brokenWork: number;
  readonly failingCode: number;
}

/** Draws a profile: some seeds know little trouble, some know every kind at once. */
export function drawProfile(random: Random): Profile {
  const some = (most: number): number => (random.chance(0.5) ? random.between(0, most) : 0);
  return {
    lostRequests: some(0.2),
    lostAnswers: some(0.2),
    hangs: some(0.6),
    slow: some(0.1),
    repeats: some(0.3),
    lostMessages: some(1),
    failedWrites: some(0.15),
    unsureWrites: some(0.15),
    forgottenWrites: 0,
    brokenWork: some(0.2),
    failingCode: some(0.2),
  };
}

/** `failed`: refused before anything happened; `late`: so, after a while; `unsure`: committed, and reported as failed. */
export type WriteFate = 'failed' | 'late' | 'unsure' | 'forgotten' | 'fine';

/** As {@link WriteFate}, of what a broker is given. */
export type PublicationFate = 'failed' | 'late' | 'unsure' | 'lost' | 'fine';

/** What goes wrong in a world, as long as it is allowed to. */
export class Faults {
  readonly #profile: Profile;
  readonly #random: Random;
  readonly #cut = new Set<string>();
  #phase: 'trouble' | 'calm' = 'trouble';

  constructor(profile: Profile, random: Random) {
    this.#profile = profile;
    this.#random = random;
  }

  /** From now on all goes well. */
  end(): void {
    this.#phase = 'calm';
    this.#cut.clear();
  }

  /** Takes a process off the network, or a service away. */
  cut(name: string): void {
    if (this.#phase === 'trouble') this.#cut.add(name);
  }

  /** Puts it back. */
  mend(name: string): void {
    this.#cut.delete(name);
  }

  /** Whether it is off. */
  isCut(name: string): boolean {
    return this.#cut.has(name);
  }

  /** Whether this request, answer or message is lost; `_to`: whose service is called. */
  lose(what: 'request' | 'answer' | 'message', _to?: string): boolean {
    const { lostRequests, lostAnswers, lostMessages } = this.#profile;
    return this.#strikes({ request: lostRequests, answer: lostAnswers, message: lostMessages }[what]);
  }

  /** Whether the caller of a lost call hears nothing, rather than that the connection broke. */
  hangs(): boolean {
    return this.#strikes(this.#profile.hangs);
  }

  /** How long a message is under way, in milliseconds: at times longer than a lease holds. */
  latency(): number {
    return this.#strikes(this.#profile.slow)
      ? this.#random.between(100, 60_000)
      : this.#random.between(1, 20);
  }

  /** Whether a call comes once more. */
  repeats(): boolean {
    return this.#strikes(this.#profile.repeats);
  }

  /** What happens to a write of the database. */
  write(): WriteFate {
    if (this.#strikes(this.#profile.forgottenWrites)) return 'forgotten';
    if (this.#strikes(this.#profile.failedWrites)) return 'failed';
    return this.#strikes(this.#profile.unsureWrites) ? 'unsure' : 'fine';
  }

  /** What happens to a notification of the database. */
  notification(): 'lost' | 'fine' {
    return 'fine';
  }

  /** What happens to a publication, beside what {@link lose} says of each message. */
  publication(): PublicationFate {
    return 'fine';
  }

  /** What becomes of the work on an order. */
  work(): 'broken' | 'failed' | 'fine' {
    if (this.#strikes(this.#profile.brokenWork)) return 'broken';
    return this.#strikes(this.#profile.failingCode) ? 'failed' : 'fine';
  }

  #strikes(probability: number): boolean {
    return this.#phase === 'trouble' && this.#random.chance(probability);
  }
}
