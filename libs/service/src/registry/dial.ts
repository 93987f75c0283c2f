import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { errnoOf, isPlatformError, PlatformError } from '@morpheo/common';
import { demandPublicHost, lookupPublic, NotPublic } from './addresses.ts';

/** One request, whose answer is no further than its header when it is returned; a redirect is an answer like others. */
export interface DialRequest {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Whether the host may be anywhere, or has to be one of the public Internet. */
  readonly reach: 'anywhere' | 'public';
  readonly signal: AbortSignal;
}

/** How long an answer may take to begin, in milliseconds. */
const BEGIN_MS = 30_000;

/** Makes requests of registries, each on a connection of its own, so that none goes where an earlier one was allowed to. */
export class Dialler {
  readonly #authority: () => string | undefined;
  #trusted: { readonly authority: string; readonly context: SecureContext } | undefined;

  /** `authority` is a PEM text that is trusted beside the authorities of Node, as it is now. */
  constructor(authority: () => string | undefined) {
    this.#authority = authority;
  }

  /** Throws `unavailable`, saying of which host, where there is no answer; the caller destroys what is returned. */
  async dial({ url, headers, reach, signal }: DialRequest): Promise<IncomingMessage> {
    signal.throwIfAborted();
    const late = new AbortController();
    const message = `${url.host} did not answer within ${BEGIN_MS / 1000} s.`;
    const timer = setTimeout(() => late.abort(new PlatformError('unavailable', message)), BEGIN_MS);
    try {
      if (reach === 'public') demandPublicHost(url.hostname);
      return await this.#begin(url, {
        headers: { 'user-agent': 'morpheo', ...headers },
        agent: false,
        signal: AbortSignal.any([signal, late.signal]),
        ...(reach === 'public' ? { lookup: lookupPublic } : {}),
      });
    } catch (error) {
      signal.throwIfAborted();
      late.signal.throwIfAborted();
      throw explained(error, url.host);
    } finally {
      clearTimeout(timer);
    }
  }

  async #begin(url: URL, options: Parameters<typeof httpsRequest>[1]): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const secureContext = this.#context();
    const request =
      url.protocol === 'https:'
        ? httpsRequest(url, { ...options, ...(secureContext && { secureContext }) })
        : httpRequest(url, options);
    request.once('response', resolve).on('error', reject).end();
    return await promise;
  }

  #context(): SecureContext | undefined {
    const authority = this.#authority();
    if (authority === undefined) return undefined;
    if (this.#trusted?.authority !== authority) {
      const context = createSecureContext({ ca: [...getCACertificates('default'), authority] });
      this.#trusted = { authority, context };
    }
    return this.#trusted.context;
  }
}

const CERTIFICATE = /^(?:CERT_|ERR_TLS_|ERR_SSL_|EPROTO|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/;

function explained(error: unknown, host: string): PlatformError {
  if (isPlatformError(error)) return error;
  const code = errnoOf(error) ?? '';
  const said = (text: string) => new PlatformError('unavailable', `${host} ${text}`, { cause: error });
  if (error instanceof NotPublic)
    return said(
      'has an address of a private network, where a registry may not send the worker; its operator can allow that host by --registry-redirects.',
    );
  if (CERTIFICATE.test(code))
    return said(
      `has a certificate that is not accepted (${code}); --registry-ca names an authority of its own.`,
    );
  return said(`does not answer${code === '' ? '' : ` (${code})`}.`);
}
