import { type BytesOut, type Directory, directory, PlatformError } from '@morpheo/common';
import { startLoop } from '../../lifecycle/index.ts';
import type { Log } from '../../log/index.ts';
import type { Metrics } from '../../metrics/index.ts';
import type { Callers } from './credentials.ts';
import { type DirectoryCopy, readCopy, touchCopy, writeCopy } from './directory-copy.ts';
import type { CredentialEntry } from './known-callers.ts';

/** What {@link followDirectory} is given. */
export interface FollowDirectory {
  /** Whom the people are put among. */
  readonly callers: Pick<Callers, 'replace'>;
  /** Asks storage-api, as `getDirectory` of its API does. */
  readonly ask: (
    input: { readonly headers: { readonly 'if-none-match'?: string | undefined } },
    call: { readonly signal: AbortSignal },
  ) => Promise<BytesOut>;
  /** The file of the last copy; none is kept where absent. */
  readonly copy: string | undefined;
  /** The longest pause between two questions, in milliseconds: so long a token that was revoked is still taken. */
  readonly everyMs: number;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** The people of the platform, as a service knows them. */
export interface FollowedDirectory extends AsyncDisposable {
  /** Rejects where storage-api did not answer the last time: the people are those of a copy then, or nobody. */
  check(): Promise<void>;
}

/** How long storage-api may take to answer, in milliseconds. */
const ANSWER_MS = 5000;

/** How much of the pause is left to chance, so that services do not come all at once. */
const JITTER = 0.2;

/**
 * Lets in the people that storage-api knows: asks for them at once and then again and again, and keeps the last answer
 * on disk, so that people are let in while storage-api is away, after a restart too. Resolves when the first answer is
 * there, or was waited for in vain.
 */
export async function followDirectory(options: FollowDirectory): Promise<FollowedDirectory> {
  const follower = new Follower(options);
  await follower.restore();
  const { everyMs, log } = options;
  const first = Promise.withResolvers<void>();
  const loop = startLoop({
    ...{ name: 'directory', everyMs, jitter: JITTER, log },
    work: async (signal) => {
      await follower.look(signal);
      first.resolve();
    },
  });
  await first.promise;
  return {
    check: async () => follower.check(),
    [Symbol.asyncDispose]: async () => await loop[Symbol.asyncDispose](),
  };
}

class Follower {
  readonly #options: FollowDirectory;
  /** What was heard last, and when storage-api said last that it is so. */
  #last: DirectoryCopy | undefined;
  /** What stands in the file. */
  #kept: Directory | undefined;
  #problem: Error | undefined;

  constructor(options: FollowDirectory) {
    this.#options = options;
    const age = options.metrics.gauge({
      name: 'morpheo_directory_age_seconds',
      help: 'How long ago storage-api said who the people are; absent where it never did',
    });
    const refresh = async (): Promise<void> => {
      if (this.#last !== undefined) age.set({}, ageOf(this.#last) / 1000);
    };
    options.metrics.onScrape({ everyMs: 0, refresh });
  }

  /** Takes over the copy of the process before. */
  async restore(): Promise<void> {
    const { copy, log } = this.#options;
    if (copy === undefined) return;
    try {
      const kept = await readCopy(copy);
      if (kept !== undefined) this.#take(kept);
      this.#kept = kept?.directory;
    } catch (error) {
      log.warn({ error, copy }, 'The copy of the directory is no good: it is made anew');
    }
  }

  /** Asks once. Never throws; what is wrong is told when it begins and when it ends. */
  async look(signal: AbortSignal): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#askOnce(AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]));
      if (this.#problem !== undefined) log.info({}, 'The directory of people answers again');
      this.#problem = undefined;
    } catch (error) {
      if (signal.aborted) return;
      if (this.#problem === undefined)
        log.warn({ error }, 'The directory of people does not answer: the copy holds on');
      this.#problem = error instanceof Error ? error : new Error(String(error));
    }
  }

  check(): void {
    if (this.#problem === undefined) return;
    const known =
      this.#last === undefined
        ? 'No people are known'
        : `The people are known from a copy that is ${Math.round(ageOf(this.#last) / 1000)} s old`;
    throw new PlatformError('unavailable', `${known}: ${this.#problem.message}`);
  }

  async #askOnce(signal: AbortSignal): Promise<void> {
    const { ask } = this.#options;
    const answer = await ask({ headers: { 'if-none-match': this.#last?.etag } }, { signal });
    const unchanged = answer.status === 304 ? this.#last : undefined;
    if (unchanged === undefined) this.#take(await readAnswer(answer));
    else this.#last = { ...unchanged, saidAt: Date.now() };
    if (this.#last !== undefined) await this.#keep(this.#last);
  }

  async #keep(heard: DirectoryCopy): Promise<void> {
    const { copy } = this.#options;
    if (copy === undefined) return;
    if (this.#kept === heard.directory && (await touchCopy(copy, heard))) return;
    this.#kept = undefined;
    await writeCopy(copy, heard);
    this.#kept = heard.directory;
  }

  #take(heard: DirectoryCopy): void {
    const { callers, log } = this.#options;
    tellShadowed(log, callers.replace('people', directoryEntries(heard.directory)));
    this.#last = heard;
  }
}

/** The people of a directory as callers: one for each token. */
export function directoryEntries({ people }: Directory): CredentialEntry[] {
  return people.flatMap(({ name, roles, tokens }) =>
    tokens.map(({ id, secret_hash: secretHash }) => ({ name, roles, token: id, secretHash })),
  );
}

/** Warns of people who are not let in, since the credentials file of the service has their names. */
export function tellShadowed(log: Log, names: readonly string[]): void {
  if (names.length === 0) return;
  log.warn(
    { names: names.slice(0, 20), count: names.length },
    'The credentials file has names of people: the file holds, and these people are not let in',
  );
}

async function readAnswer({ headers, body }: BytesOut): Promise<DirectoryCopy> {
  const text = await new Response(body ?? null).text();
  return { etag: headers.etag, directory: directory.parse(JSON.parse(text)), saidAt: Date.now() };
}

function ageOf({ saidAt }: DirectoryCopy): number {
  return Math.max(0, Date.now() - saidAt);
}
