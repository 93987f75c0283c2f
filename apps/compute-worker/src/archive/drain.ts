/** What both ends of a tar archive have in common as streams to write to (they are not Node's own). */
export interface ByteSink {
  write(bytes: Uint8Array): boolean;
  readonly destroying: boolean;
  once(event: 'drain' | 'close', listener: () => void): unknown;
  off(event: 'drain' | 'close', listener: () => void): unknown;
}

/** Writes bytes and waits until more may come. Returns false, and does nothing, once the sink is closed. */
export async function writeAndDrain(sink: ByteSink, bytes: Uint8Array): Promise<boolean> {
  if (sink.destroying) return false;
  if (sink.write(bytes)) return true;
  const { promise, resolve } = Promise.withResolvers<void>();
  sink.once('drain', resolve);
  sink.once('close', resolve);
  await promise;
  sink.off('drain', resolve);
  sink.off('close', resolve);
  return !sink.destroying;
}
