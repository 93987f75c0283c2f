import { type BlobStore, putBlob, type ReceivedBlob, type ReceiveOptions } from '../blobs/index.ts';

/**
 * When a call fails: `before` it does anything; `halfway`: a receive when its bytes have come and nothing is on disk, a
 * stream or a list after its first piece; `after` its effect, so that only the answer is lost.
 */
export type Moment = 'before' | 'halfway' | 'after';

/** A store before another, of whose calls one fails. */
export interface FailingStore extends BlobStore {
  /** The names of the calls that were made, in their order. */
  readonly calls: readonly string[];
  /** Fails the call of this index from now on, once; none where negative. */
  failAt(index: number, moment: Moment, error: Error): void;
}

/** Puts a {@link FailingStore} before a store. */
export function failingStore(blobs: BlobStore): FailingStore {
  const calls: string[] = [];
  let plan: { index: number; moment: Moment; error: Error } | undefined;
  const planned = (name: string): { moment: Moment; error: Error } | undefined => {
    const mine = plan?.index === calls.length ? plan : undefined;
    calls.push(name);
    if (mine !== undefined) plan = undefined;
    return mine;
  };
  async function failing<T>(name: string, work: () => Promise<T>): Promise<T> {
    const fault = planned(name);
    if (fault !== undefined && fault.moment !== 'after') throw fault.error;
    const result = await work();
    if (fault !== undefined) throw fault.error;
    return result;
  }
  async function receive(source: AsyncIterable<Uint8Array>, options?: ReceiveOptions): Promise<ReceivedBlob> {
    const fault = planned('receive');
    if (fault === undefined) return await blobs.receive(source, options);
    if (fault.moment === 'after') await putBlob(blobs, source, options);
    if (fault.moment === 'halfway') for await (const _ of source);
    throw fault.error;
  }
  return {
    calls,
    failAt: (index, moment, error) => {
      calls.length = 0;
      plan = { index, moment, error };
    },
    receive,
    async get(...given) {
      const fault = planned('get');
      if (fault?.moment === 'before') throw fault.error;
      const stream = await blobs.get(...given);
      return fault === undefined ? stream : brokenAfter(stream, fault);
    },
    stat: (...given) => failing('stat', () => blobs.stat(...given)),
    remove: (...given) => failing('remove', () => blobs.remove(...given)),
    async *list() {
      const fault = planned('list');
      if (fault?.moment === 'before') throw fault.error;
      for await (const blob of blobs.list()) {
        yield blob;
        if (fault?.moment === 'halfway') throw fault.error;
      }
      if (fault !== undefined) throw fault.error;
    },
    sweep: (...given) => failing('sweep', () => blobs.sweep(...given)),
    ping: (...given) => failing('ping', () => blobs.ping(...given)),
  };
}

/** The bytes of a stream, which fails after its first piece, or after its last. */
function brokenAfter(
  source: ReadableStream<Uint8Array>,
  { moment, error }: { readonly moment: Moment; readonly error: Error },
): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  return new ReadableStream({
    type: 'bytes',
    async pull(controller) {
      const { value } = await reader.read();
      if (value === undefined || value.byteLength === 0) {
        await reader.cancel(error);
        controller.error(error);
        return;
      }
      controller.enqueue(new Uint8Array(value));
      if (moment === 'halfway') {
        await reader.cancel(error);
        controller.error(error);
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
}
