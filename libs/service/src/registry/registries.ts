import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type BytesOut, type ImageReference, PlatformError, streamOf } from '@morpheo/common';
import { type AllowedImages, demandAllowed } from './allowed.ts';
import { failureElsewhere, failureOf, readBounded } from './answer.ts';
import { Authorization, notPermitted } from './authorization.ts';
import type { RegistryCredentials } from './credentials.ts';
import { Dialler, type DialRequest } from './dial.ts';
import { ImageRefusal } from './refusal.ts';

/** From where images are fetched, and how. */
export interface RegistriesOptions {
  /** Which images may be fetched; `all`: whatever its registry, by https. */
  readonly allowed: readonly AllowedImages[] | 'all';
  /** As they are now; none where absent. They are sent to registries, and to those that give tokens for them, alone. */
  readonly credentials?: (() => RegistryCredentials) | undefined;
  /** A PEM text of authorities that are trusted beside those of Node, as it is now. */
  readonly authority?: (() => string | undefined) | undefined;
  /** Hosts (with their port, where that is not the scheme's) to which a registry may send us wherever they are. */
  readonly redirects?: readonly string[] | undefined;
}

/** A manifest, or an index of them, with the digest of its bytes. */
export interface RawManifest {
  readonly bytes: Buffer;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string;
}

/** The most that a manifest, an index or a configuration may have, in bytes: what registries take at least. */
export const DOCUMENT_BYTES = 4 * 1024 ** 2;

const ACCEPT = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

const REDIRECTS = [301, 302, 303, 307, 308];
const MOST_REDIRECTS = 5;

interface Question {
  /** Below the name of the image, such as `blobs/sha256:…`. */
  readonly path: string;
  /** The subject of a sentence. */
  readonly what: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * Registries of images, as far as these are fetched. Source: OCI Distribution Specification 1.1, "Pull". What the operator
 * does not allow is never asked for. Where a registry sends us elsewhere, we go without credentials, and only to public
 * addresses unless the operator allows that host; from https never to http.
 *
 * Throws an {@link ImageRefusal} for what asking again does not change; `unavailable` and `rate_limited` otherwise.
 */
export class Registries {
  readonly #options: RegistriesOptions;
  readonly #dialler: Dialler;
  readonly #authorization: Authorization;

  constructor(options: RegistriesOptions) {
    this.#options = options;
    this.#dialler = new Dialler(options.authority ?? (() => undefined));
    const credentials = options.credentials ?? (() => new Map());
    const reachOf = (url: URL, image: ImageReference) => this.#reachOf(url, image);
    this.#authorization = new Authorization({ dialler: this.#dialler, credentials, reachOf });
  }

  /** Throws an {@link ImageRefusal} that says what is allowed, unless an image may be fetched. */
  demandAllowed(image: ImageReference): void {
    this.#placeOf(image);
  }

  /** The digest that a tag (`latest` where there is none) means now: of an index, where the image is for several architectures. */
  async resolve(image: ImageReference, signal: AbortSignal): Promise<string> {
    return image.digest ?? (await this.#manifest(image, image.tag ?? 'latest', signal)).digest;
  }

  /** The manifest, or index, of a digest. Throws an {@link ImageRefusal} where other bytes come. */
  async manifest(image: ImageReference, digest: string, signal: AbortSignal): Promise<RawManifest> {
    const raw = await this.#manifest(image, digest, signal);
    if (raw.digest === digest) return raw;
    const message = `${image.registry} gave a manifest with the digest ${raw.digest} where ${digest} was asked for: nothing of it is used.`;
    throw new ImageRefusal('image_invalid', message);
  }

  /** A blob that is read as a whole, at most {@link DOCUMENT_BYTES}. Throws as {@link manifest} does. */
  async document(image: ImageReference, digest: string, signal: AbortSignal): Promise<Buffer> {
    const what = `the blob ${digest} of ${image.repository}`;
    const { response } = await this.#ask(image, { path: `blobs/${digest}`, what, headers: {}, signal });
    const bytes = await this.#whole(response, what, signal);
    if (sha256(bytes) === digest) return bytes;
    throw new ImageRefusal(
      'image_invalid',
      `${image.registry} gave other bytes for ${what}: they are not used.`,
    );
  }

  /** The bytes of a blob from `at` on, where the registry can do that, else from the first; nobody has checked them. */
  async blob(image: ImageReference, digest: string, at: number, signal: AbortSignal): Promise<BytesOut> {
    const what = `the blob ${digest} of ${image.repository}`;
    const headers: Record<string, string> = at === 0 ? {} : { range: `bytes=${at}-` };
    const { response } = await this.#ask(image, { path: `blobs/${digest}`, what, headers, signal });
    const range = response.headers['content-range'];
    return {
      status: response.statusCode ?? 0,
      headers: range === undefined ? {} : { 'content-range': range },
      body: streamOf(response),
    };
  }

  async #manifest(image: ImageReference, name: string, signal: AbortSignal): Promise<RawManifest> {
    const what = `the image ${image.repository}${name.startsWith('sha256:') ? '@' : ':'}${name}`;
    const headers = { accept: ACCEPT };
    const { response } = await this.#ask(image, { path: `manifests/${name}`, what, headers, signal });
    const bytes = await this.#whole(response, what, signal);
    return { bytes, digest: sha256(bytes) };
  }

  async #whole(response: IncomingMessage, what: string, signal: AbortSignal): Promise<Buffer> {
    try {
      return await readBounded(response, DOCUMENT_BYTES, signal);
    } catch (error) {
      if (!(error instanceof PlatformError) || error.code !== 'too_large') throw error;
      const message = `What describes ${what} has more than ${DOCUMENT_BYTES / 1024 ** 2} MiB.`;
      throw new ImageRefusal('image_too_large', message, error);
    }
  }

  /** An answer of 200 or 206, wherever that comes from. */
  async #ask(image: ImageReference, question: Question): Promise<{ readonly response: IncomingMessage }> {
    const { what, headers, signal } = question;
    const url = this.#urlOf(image, question.path);
    const response = await this.#authorized(image, url, question);
    const { statusCode: status = 0 } = response;
    if (status === 200 || status === 206) return { response };
    response.destroy();
    if (!REDIRECTS.includes(status)) throw failureOf(status, what, image);
    return { response: await this.#follow(response, image, { url, what, headers, signal }) };
  }

  async #authorized(
    image: ImageReference,
    url: URL,
    { headers, signal }: Question,
  ): Promise<IncomingMessage> {
    const ask = async (authorization: string | undefined) =>
      await this.#dialler.dial({
        url,
        headers: { ...headers, ...(authorization !== undefined && { authorization }) },
        reach: 'anywhere',
        signal,
      });
    const known = this.#authorization.header(image);
    const first = await ask(known);
    if (first.statusCode !== 401) return forbidden(first, image, known !== undefined);
    first.destroy();
    this.#authorization.forget(image);
    const challenge = first.headers['www-authenticate'] ?? '';
    const second = await ask(await this.#authorization.answer(challenge, image, url, signal));
    return forbidden(second, image, true);
  }

  async #follow(
    from: IncomingMessage,
    image: ImageReference,
    { url, what, headers, signal }: Omit<Question, 'path'> & { readonly url: URL },
  ): Promise<IncomingMessage> {
    let [at, response] = [url, from];
    for (let hops = 0; hops < MOST_REDIRECTS; hops += 1) {
      const target = URL.parse(response.headers.location ?? '', at.href);
      const isGood =
        target !== null &&
        (target.protocol === 'https:' || (target.protocol === 'http:' && at.protocol === 'http:')) &&
        target.username === '';
      if (!isGood) break;
      at = target;
      response = await this.#dialler.dial({ url: at, headers, reach: this.#reachOf(at, image), signal });
      const { statusCode: status = 0 } = response;
      if (status === 200 || status === 206) return response;
      response.destroy();
      if (!REDIRECTS.includes(status)) throw failureElsewhere(status, what, at.host, image);
    }
    const message = `${image.registry} sends the worker to where it does not go for ${what}: too often, from https to http, or to no address.`;
    throw new PlatformError('unavailable', message);
  }

  #placeOf(image: ImageReference): AllowedImages {
    const { allowed } = this.#options;
    if (allowed === 'all') return { registry: image.registry, scheme: 'https', prefix: '' };
    return demandAllowed(allowed, image);
  }

  #urlOf(image: ImageReference, path: string): URL {
    const { scheme, registry } = this.#placeOf(image);
    // Docker Hub is called by one name, and answers by another.
    const host = registry === 'docker.io' ? 'registry-1.docker.io' : registry;
    return new URL(`${scheme}://${host}/v2/${image.repository}/${path}`);
  }

  /** What the operator named may be anywhere. */
  #reachOf({ host }: URL, { registry }: ImageReference): DialRequest['reach'] {
    const named = [registry, ...(this.#options.redirects ?? [])];
    return named.includes(host) ? 'anywhere' : 'public';
  }
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function forbidden(response: IncomingMessage, image: ImageReference, asked: boolean): IncomingMessage {
  const { statusCode: status = 0 } = response;
  if (status !== 401 && status !== 403) return response;
  response.destroy();
  throw notPermitted(image, asked);
}
