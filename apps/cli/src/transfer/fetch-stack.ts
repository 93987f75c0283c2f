import type { HttpRequest, HttpResponse, HttpStack } from 'tus-js-client';

/** Requests of the tus client by `fetch`: its own way of sending makes Node warn of `url.parse` in a bundle. */
export const fetchStack: HttpStack = {
  createRequest: (method, url) => new FetchRequest(method, url),
  getName: () => 'fetch',
};

class FetchRequest implements HttpRequest {
  readonly #method: string;
  readonly #url: string;
  readonly #headers: Record<string, string> = {};
  readonly #stop = new AbortController();

  constructor(method: string, url: string) {
    this.#method = method;
    this.#url = url;
  }

  getMethod(): string {
    return this.#method;
  }

  getURL(): string {
    return this.#url;
  }

  setHeader(name: string, value: string): void {
    this.#headers[name] = value;
  }

  getHeader(name: string): string | undefined {
    return this.#headers[name];
  }

  /** A chunk is sent as one: how far it is, nobody is told before it was acknowledged. */
  setProgressHandler(): void {}

  async send(body: Uint8Array<ArrayBuffer> | null): Promise<HttpResponse> {
    const response = await fetch(this.#url, {
      method: this.#method,
      headers: this.#headers,
      body,
      redirect: 'error',
      signal: this.#stop.signal,
    });
    const text = await response.text();
    return {
      getStatus: () => response.status,
      getHeader: (name) => response.headers.get(name) ?? undefined,
      getBody: () => text,
      getUnderlyingObject: () => response,
    };
  }

  async abort(): Promise<void> {
    this.#stop.abort();
  }

  getUnderlyingObject(): undefined {
    return undefined;
  }
}
