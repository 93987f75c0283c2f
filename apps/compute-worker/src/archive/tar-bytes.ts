import { type Pack, pack } from 'tar-stream';

/**
 * The bytes of a tar archive while `fill` puts its entries in, no faster than they are read. What `fill` throws leaves
 * the iteration; one that is left early ends `fill` by destroying the archive.
 */
export async function* tarBytes(fill: (tar: Pack) => Promise<void>): AsyncGenerator<Uint8Array> {
  const tar = pack();
  let fault: { readonly error: unknown } | undefined;
  const filling = fill(tar).catch((error: unknown) => {
    fault = { error };
    tar.destroy(new Error('The archive could not be filled to its end'));
  });
  try {
    for await (const chunk of tar) {
      if (chunk instanceof Uint8Array) yield chunk;
    }
  } catch (error) {
    throw fault === undefined ? error : fault.error;
  } finally {
    tar.destroy();
    await filling;
  }
}
