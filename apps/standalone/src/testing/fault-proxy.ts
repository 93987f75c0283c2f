import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A proxy before a service, for tests that cut connections. */
export interface FaultProxy extends AsyncDisposable {
  readonly url: string;
  /** How many bytes clients have sent so far, headers included. */
  readonly sent: number;
  /** Told of `sent` after every piece; where it answers true, every connection is cut. */
  cut: (sent: number) => boolean;
  /** Asked of each large piece, which is one of a body: where it answers true, a bit of it is flipped on its way. */
  flip: () => boolean;
}

/** A piece of so many bytes holds no headers at its end. */
const LARGE = 16_384;

/** Starts a {@link FaultProxy} before the service at `target`. */
export async function openFaultProxy(target: string): Promise<FaultProxy> {
  const sockets = new Set<Socket>();
  const { hostname, port } = new URL(target);
  let sent = 0;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    const service = connect(Number(port), hostname);
    for (const socket of [client, service]) keep(socket);
    service.pipe(client);
    service.once('close', () => client.destroy());
    client.once('close', () => service.destroy());
    client.on('data', (piece) => {
      sent += piece.length;
      if (piece.length >= LARGE && proxy.flip()) piece[piece.length - 1] = (piece.at(-1) ?? 0) ^ 1;
      if (!service.write(piece)) client.pause();
      if (proxy.cut(sent)) for (const socket of sockets) socket.destroy();
    });
    service.on('drain', () => client.resume());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const proxy: FaultProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get sent() {
      return sent;
    },
    cut: () => false,
    flip: () => false,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), 'close');
    },
  };
  return proxy;
}
