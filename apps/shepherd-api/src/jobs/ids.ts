import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/** The namespace of the ids that are made of names here; it must never change. */
const NAMESPACE = Buffer.from('b4f1ad2a58f04b62a3c9a5d2f0c0d9e1', 'hex');

/** The order of a job: the same id gives the same order, wherever and whenever it is asked for (RFC 9562 §5.5). */
export function orderOf(job: string): string {
  return named(`job:${job}`);
}

/** What an input of a job is called on storage, where it does not fit into the order. */
export function dataOf(job: string, file: string): string {
  return named(`input:${job}:${file}`);
}

/** What the outputs of a job are called on storage until they are in its bucket. */
export function outputOf(job: string): string {
  return named(`output:${job}`);
}

function named(name: string): string {
  const bytes = createHash('sha1').update(NAMESPACE).update(name).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** Says who may tell of the end of a job: compute-api, whom its callback was told with the order. */
export class CallbackTokens {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  of(job: string): string {
    return createHmac('sha256', this.#key).update(`ended:${job}`).digest('base64url');
  }

  fits(job: string, token: string): boolean {
    const [wanted, given] = [Buffer.from(this.of(job)), Buffer.from(token)];
    return wanted.byteLength === given.byteLength && timingSafeEqual(wanted, given);
  }
}
