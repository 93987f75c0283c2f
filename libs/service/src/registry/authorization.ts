import { type ImageReference, PlatformError } from '@morpheo/common';
import { z } from 'zod';
import { readBounded } from './answer.ts';
import { parseChallenge } from './challenge.ts';
import { credentialFor, type RegistryCredential, type RegistryCredentials } from './credentials.ts';
import type { Dialler, DialRequest } from './dial.ts';
import { ImageRefusal } from './refusal.ts';

/** What an {@link Authorization} works with. */
export interface AuthorizationOptions {
  readonly dialler: Dialler;
  /** As they are now. */
  readonly credentials: () => RegistryCredentials;
  /** Where a host may be that a registry names. */
  readonly reachOf: (url: URL, image: ImageReference) => DialRequest['reach'];
}

const TOKEN_BYTES = 64 * 1024;
/** Of a token that does not say so: what the specification has. */
const TOKEN_SECONDS = 60;
/** A token is not used any more so long before its end. */
const EARLY_MS = 10_000;
const MOST_TOKENS = 200;

const answer = z.looseObject({
  token: z.string().min(1).optional(),
  access_token: z.string().min(1).optional(),
  expires_in: z.number().positive().optional().catch(undefined),
});

interface Known {
  readonly header: string;
  readonly until: number;
}

/** By what right registries are asked: what they gave for the operator's credentials, or for none, while it is good. */
export class Authorization {
  readonly #options: AuthorizationOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: AuthorizationOptions) {
    this.#options = options;
  }

  /** The `Authorization` field for what is asked of an image's name; undefined where nothing is known to be needed. */
  header(image: ImageReference): string | undefined {
    const known = this.#known.get(this.#keyOf(image));
    return known !== undefined && known.until > Date.now() ? known.header : undefined;
  }

  /**
   * Finds out the field that answers a challenge of the image's registry (the field `WWW-Authenticate`). Throws an
   * {@link ImageRefusal} where there is none, and `unavailable` where nobody can tell now.
   */
  async answer(challenge: string, image: ImageReference, url: URL, signal: AbortSignal): Promise<string> {
    const read = parseChallenge(challenge);
    const credential = credentialFor(this.#options.credentials(), image);
    if (read?.scheme === 'bearer') {
      const known = await this.#token(read, image, { url, credential, signal });
      if (this.#known.size >= MOST_TOKENS) this.#known.clear();
      this.#known.set(this.#keyOf(image), known);
      return known.header;
    }
    if (read === undefined || credential === undefined) throw notPermitted(image, credential !== undefined);
    const header = basic(credential);
    this.#known.set(this.#keyOf(image), { header, until: Number.POSITIVE_INFINITY });
    return header;
  }

  /** Forgets what an image's registry does not take any more. */
  forget(image: ImageReference): void {
    this.#known.delete(this.#keyOf(image));
  }

  async #token(
    { realm, service }: { readonly realm: string; readonly service: string | undefined },
    image: ImageReference,
    {
      url,
      credential,
      signal,
    }: { url: URL; credential: RegistryCredential | undefined; signal: AbortSignal },
  ): Promise<Known> {
    const target = URL.parse(realm);
    const isGood =
      target !== null &&
      (target.protocol === 'https:' || target.protocol === url.protocol) &&
      target.username === '';
    if (!isGood)
      throw new PlatformError(
        'unavailable',
        `${image.registry} names no place to ask for a token that can be used.`,
      );
    if (service !== undefined) target.searchParams.set('service', service);
    target.searchParams.set('scope', `repository:${image.repository}:pull`);
    const response = await this.#options.dialler.dial({
      url: target,
      headers: credential === undefined ? {} : { authorization: basic(credential) },
      reach: this.#options.reachOf(target, image),
      signal,
    });
    const bytes = await readBounded(response, TOKEN_BYTES, signal);
    const { statusCode: status = 0 } = response;
    if ([400, 401, 403, 404].includes(status)) throw notPermitted(image, credential !== undefined);
    const {
      token,
      access_token = token,
      expires_in = TOKEN_SECONDS,
    } = (status === 200 && parsed(bytes)) || {};
    if (access_token === undefined || !/^[\x21-\x7e]+$/.test(access_token))
      throw new PlatformError(
        'unavailable',
        `${target.host} gave no token for ${image.registry} (status ${status}).`,
      );
    return { header: `Bearer ${access_token}`, until: Date.now() + expires_in * 1000 - EARLY_MS };
  }

  /** Other credentials, other rights: a file that was renewed holds at once. */
  #keyOf(image: ImageReference): string {
    const { username, password } = credentialFor(this.#options.credentials(), image) ?? {};
    return JSON.stringify([image.registry, image.repository, username, password]);
  }
}

function parsed(bytes: Buffer): z.infer<typeof answer> | undefined {
  try {
    return answer.safeParse(JSON.parse(bytes.toString('utf8'))).data;
  } catch {
    return undefined;
  }
}

function basic({ username, password }: RegistryCredential): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** Registries say the same of what is not there and of what is not for everybody. */
export function notPermitted(
  { registry, repository }: ImageReference,
  hasCredentials: boolean,
): ImageRefusal {
  const whose = hasCredentials ? 'with the credentials that the worker has for it' : 'without credentials';
  const message = `${registry} does not give ${repository} ${whose}: it is not there, or not for everybody. The operator of the worker gives credentials by --registry-credentials-file.`;
  return new ImageRefusal('image_not_permitted', message);
}
