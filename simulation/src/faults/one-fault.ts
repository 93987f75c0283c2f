import type { Random } from '@morpheo/real-parts';
import { Faults, type Profile, type PublicationFate, type WriteFate } from './faults.ts';

/** Where something can go wrong, each with what can. */
export const PLACES = {
  write: ['failed', 'late', 'unsure'],
  publication: ['failed', 'late', 'unsure', 'lost'],
  notification: ['lost'],
  call: ['request lost', 'request unheard', 'answer lost', 'answer unheard'],
  /** Each call of storage: it goes away for {@link AWAY_MS}, before the call or after its effect, or says nothing. */
  storage: ['away before', 'away after', 'silent'],
} as const;

/** Longer than a lease, and than the longest pause before something is tried again. */
const AWAY_MS = 60_000;

/** A place where something can go wrong. */
export type Place = keyof typeof PLACES;

/** The one thing that goes wrong: what happens at the n-th time, counted from 1, that a place is come to. */
export interface PlannedFault {
  readonly place: Place;
  readonly n: number;
  readonly kind: (typeof PLACES)[Place][number] | 'forgotten';
}

const CALM: Omit<Profile, 'brokenWork' | 'failingCode'> = {
  ...{ lostRequests: 0, lostAnswers: 0, hangs: 0, slow: 0, repeats: 0, lostMessages: 0 },
  ...{ failedWrites: 0, unsureWrites: 0, forgottenWrites: 0 },
};

/** A world in which one thing goes wrong, or nothing; some orders fail, and some are broken off, all the same. */
export class OneFault extends Faults {
  /** How often each place was come to. */
  readonly counts: Record<Place, number> = { write: 0, publication: 0, notification: 0, call: 0, storage: 0 };
  readonly #planned: PlannedFault | undefined;
  #unheard: 'soon known' | 'never known' = 'soon known';
  #awayUntil = 0;

  constructor(random: Random, planned?: PlannedFault) {
    super({ ...CALM, brokenWork: 0.2, failingCode: 0.2 }, random);
    this.#planned = planned;
  }

  override write(): WriteFate {
    return (this.#at('write') ?? 'fine') as WriteFate;
  }

  override publication(): PublicationFate {
    return (this.#at('publication') ?? 'fine') as PublicationFate;
  }

  override notification(): 'lost' | 'fine' {
    return this.#at('notification') === undefined ? 'fine' : 'lost';
  }

  override isCut(name: string): boolean {
    return super.isCut(name) || (name === 'storage' && this.#isAway);
  }

  get #isAway(): boolean {
    return Date.now() < this.#awayUntil;
  }

  override lose(what: 'request' | 'answer' | 'message', to?: string): boolean {
    if (what === 'message') return false;
    if (to === 'storage' && this.#goesAway(what)) return true;
    const kind = what === 'request' ? this.#at('call') : this.#still('call');
    if (kind?.startsWith(what) !== true) return false;
    this.#unheard = kind.endsWith('unheard') ? 'never known' : 'soon known';
    return true;
  }

  override hangs(): boolean {
    return this.#unheard === 'never known' || (this.#isAway && this.#planned?.kind === 'silent');
  }

  #goesAway(what: 'request' | 'answer'): boolean {
    const kind = what === 'request' ? this.#at('storage') : this.#still('storage');
    if (kind === undefined || (kind === 'away after') !== (what === 'answer')) return false;
    this.#awayUntil = Date.now() + AWAY_MS;
    return true;
  }

  /** What goes wrong at this place now. */
  #at(place: Place): PlannedFault['kind'] | undefined {
    this.counts[place] += 1;
    return this.#still(place);
  }

  #still(place: Place): PlannedFault['kind'] | undefined {
    const planned = this.#planned;
    return planned?.place === place && planned.n === this.counts[place] ? planned.kind : undefined;
  }
}
