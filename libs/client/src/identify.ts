import { apiIdentity, type Contract, PlatformError } from '@morpheo/common';
import { type ClientOptions, peerAt } from './client.ts';
import { readText } from './read-text.ts';
import { toNetworkError } from './where.ts';

/** Documents of services are shorter, in bytes. */
const DOCUMENT_LIMIT = 4 * 1024 * 1024;

/**
 * Makes sure that the service of a contract answers at an address, and resolves to its version. Throws `unavailable`
 * where nothing answers, and `conflict` where something else does: another service of the platform, one of the
 * originals, or a web server that answers whatever it is asked.
 */
export async function identify(
  { title }: Pick<Contract, 'title'>,
  options: ClientOptions,
  signal?: AbortSignal,
): Promise<string> {
  const peer = peerAt(title, options);
  const where = { method: 'GET', url: `${peer.address}/openapi.json`, signal };
  const init = {
    headers: peer.headers(),
    redirect: 'manual',
    ...(signal === undefined ? {} : { signal }),
  } as const;
  const response = await peer.fetch(where.url, init).catch((cause: unknown) => {
    throw toNetworkError(cause, where);
  });
  if (response.status >= 502) {
    await response.body?.cancel();
    throw new PlatformError('unavailable', `GET ${where.url} answered ${response.status}.`);
  }
  const text = await readText(response, DOCUMENT_LIMIT, where);
  const found = response.ok ? apiIdentity.safeParse(parseJson(text)).data?.info : undefined;
  if (found?.title === title) return found.version;
  const what = found === undefined ? 'something that is no service of Morpheo Compute' : `the ${found.title}`;
  throw new PlatformError('conflict', `At ${peer.address} answers ${what}, and not the ${title}.`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
