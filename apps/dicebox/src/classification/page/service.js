// @ts-check

/** @typedef {{ category: string, probabilities: { category: string, probability: number }[], network: { training: string, digest: string, accuracy: number }, ms: number }} Classified */
/** @typedef {{ state: string, categories?: string[], width?: number, height?: number }} Network */

/** @param {string} name */
function meta(name) {
  return document.querySelector(`meta[name="dicebox-${name}"]`)?.getAttribute('content') ?? '';
}

/** The key is kept for this tab alone, until it is closed or forgotten. */
const PLACE = 'dicebox-key';

/** @returns {string | undefined} */
export function keptKey() {
  return sessionStorage.getItem(PLACE) ?? undefined;
}

/** @param {string | undefined} key */
export function keepKey(key) {
  if (key === undefined) sessionStorage.removeItem(PLACE);
  else sessionStorage.setItem(PLACE, key);
}

/**
 * What the network in use says of a picture.
 *
 * @param {Blob} picture
 * @returns {Promise<Classified>}
 */
export async function classify(picture) {
  return await ask('v1/classify', { data: await base64Of(picture) });
}

/** @returns {Promise<Network | undefined>} The network in use. */
export async function networkInUse() {
  /** @type {{ items: Network[] }} */
  const { items } = await ask('v1/networks');
  return items.find(({ state }) => state === 'current');
}

/**
 * Stores a picture with its category, at the sensory service.
 *
 * @param {Blob} picture
 * @param {{ name: string, width: number, height: number, category: string }} about
 */
export async function store(picture, about) {
  const base = meta('sensory');
  const path = base === '' ? 'api/sensory/store' : `${base.replace(/\/$/, '')}/api/sensory/store`;
  await ask(path, { ...about, data: await base64Of(picture) });
}

/**
 * @param {string} path
 * @param {object} [body]
 */
async function ask(path, body) {
  const key = keptKey();
  if (key === undefined) throw new Error('Type the key first.');
  const headers = path.includes('api/')
    ? { 'API-ACCESS-KEY': key, 'API-VERSION': meta('version') }
    : { Authorization: `Bearer ${key}` };
  const answer = await fetch(path, {
    // Else a wrong key has the browser ask for a password of its own.
    credentials: 'omit',
    headers: { ...headers, 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(await reasonOf(answer));
  return await answer.json();
}

/** @param {Response} answer */
async function reasonOf(answer) {
  const text = await answer.text();
  if (/json/.test(answer.headers.get('Content-Type') ?? '')) {
    const { detail, error } = JSON.parse(text);
    return String(detail ?? error ?? answer.status);
  }
  const page = new DOMParser().parseFromString(text, 'text/html');
  return page.querySelector('p')?.textContent ?? `The service answered ${answer.status}.`;
}

/** @param {Blob} blob */
async function base64Of(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = '';
  for (let from = 0; from < bytes.length; from += 8192)
    text += String.fromCharCode(...bytes.subarray(from, from + 8192));
  return btoa(text);
}
