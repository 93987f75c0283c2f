import type { Duplex } from 'node:stream';

/**
 * A DEALER of ZeroMQ at one end of a stream: ZMTP 3.1 (RFC 37 of ZeroMQ) with the mechanism NULL. Of 3.0 it is understood
 * as well, as by libzmq from 4.0 on; which side listens does not matter. What the other side sends is hostile: every size
 * has a bound before anything of it is kept.
 */

/** What the other side did against ZMTP, or against the bounds; the stream is of no use any more. */
export class ZmtpFault extends Error {
  override readonly name = 'ZmtpFault';
}

/** The stream ended in the middle of something, as it does where the other side dies. */
export class ZmtpEnd extends Error {
  override readonly name = 'ZmtpEnd';
}

const GREETING_BYTES = 64;
/** Of the body of a command: what libzmq sends is some 50 bytes long. */
const COMMAND_BYTES = 1024;
const FLAG = { more: 1, long: 2, command: 4 } as const;
/** What a PING may bring along for its PONG. */
const PING_CONTEXT_BYTES = 16;
/** Who sends so many commands without a message between them has nothing to say: of an hour of heartbeats there are fewer. */
const MOST_COMMANDS = 20_000;
/** What may wait to be read by the other side when it asks for more. */
const UNREAD_BYTES = 64 * 1024;

/** Sends and receives messages of one frame. */
export class Dealer {
  readonly #stream: Duplex;
  readonly #input: Bytes;
  readonly #mostBytes: number;

  private constructor(stream: Duplex, input: Bytes, mostBytes: number) {
    this.#stream = stream;
    this.#input = input;
    this.#mostBytes = mostBytes;
  }

  /**
   * Greets the other side, and waits until it has done so too. A message that it sends may have `mostBytes`. Throws
   * {@link ZmtpFault}, {@link ZmtpEnd}, and what the stream throws; whoever opened the stream destroys it.
   */
  static async open(stream: Duplex, { mostBytes }: { readonly mostBytes: number }): Promise<Dealer> {
    stream.write(greeting());
    const dealer = new Dealer(stream, new Bytes(stream), mostBytes);
    checkGreeting(await dealer.#input.take(GREETING_BYTES));
    stream.write(frame(FLAG.command, command('READY', property('Socket-Type', 'DEALER'))));
    const { flags, body } = await dealer.#frame();
    const said = (flags & FLAG.command) === 0 ? undefined : readCommand(body);
    if (said?.name === 'ERROR') throw new ZmtpFault('It refuses the connection: it is no ROUTER of ZeroMQ.');
    if (said?.name !== 'READY') throw new ZmtpFault('It did not say READY after its greeting.');
    checkReady(said.rest);
    return dealer;
  }

  /** Sends a message of one frame. */
  send(body: Uint8Array): void {
    this.#stream.write(frame(0, body));
  }

  /** The messages that come, until the stream ends. Throws {@link ZmtpFault}, {@link ZmtpEnd}, and what the stream throws. */
  async *messages(): AsyncGenerator<Buffer, void> {
    let commands = 0;
    for (;;) {
      if (await this.#input.isAtEnd()) return;
      const { flags, body } = await this.#frame();
      if ((flags & FLAG.command) !== 0) {
        commands += 1;
        if (commands > MOST_COMMANDS) throw new ZmtpFault('It sends commands without end.');
        this.#obey(body);
      } else if ((flags & FLAG.more) !== 0) throw new ZmtpFault('It sent a message of several frames.');
      else {
        commands = 0;
        yield body;
      }
    }
  }

  async #frame(): Promise<{ readonly flags: number; readonly body: Buffer }> {
    const flags = (await this.#input.take(1)).readUInt8();
    if ((flags & ~(FLAG.more | FLAG.long | FLAG.command)) !== 0)
      throw new ZmtpFault('It sent a frame with flags that there are not.');
    const isLong = (flags & FLAG.long) !== 0;
    const size = await this.#input.take(isLong ? 8 : 1);
    const bytes = isLong ? size.readBigUInt64BE() : BigInt(size.readUInt8());
    const most = (flags & FLAG.command) === 0 ? this.#mostBytes : COMMAND_BYTES;
    if (bytes > most) throw new ZmtpFault(`It sent a frame of ${bytes} bytes, where ${most} are the most.`);
    return { flags, body: await this.#input.take(Number(bytes)) };
  }

  #obey(body: Buffer): void {
    const { name, rest } = readCommand(body);
    if (name === 'ERROR') throw new ZmtpFault('It told an error of ZeroMQ.');
    if (name !== 'PING') return;
    if (this.#stream.writableLength > UNREAD_BYTES)
      throw new ZmtpFault('It does not read what is sent to it.');
    // The first two bytes say how long its sender waits.
    const context = rest.subarray(2, 2 + PING_CONTEXT_BYTES);
    this.#stream.write(frame(FLAG.command, command('PONG', context)));
  }
}

/** The bytes of a stream, so many at a time as are asked for. */
class Bytes {
  readonly #chunks: AsyncIterator<Buffer>;
  #left: Buffer = Buffer.alloc(0);

  constructor(stream: Duplex) {
    this.#chunks = (stream as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  async isAtEnd(): Promise<boolean> {
    return this.#left.length === 0 && !(await this.#more());
  }

  async take(bytes: number): Promise<Buffer> {
    // Chunks are not kept: a hostile one may be of a single byte, and takes a hundred times as much.
    const whole = Buffer.allocUnsafe(bytes);
    for (let at = 0; ; ) {
      const copied = this.#left.copy(whole, at);
      this.#left = this.#left.subarray(copied);
      at += copied;
      if (at === bytes) return whole;
      if (!(await this.#more())) throw new ZmtpEnd('It ended in the middle of a frame, or of its greeting.');
    }
  }

  /** Takes the next chunk, once nothing is left of the one before; false where there is none. */
  async #more(): Promise<boolean> {
    const next = await this.#chunks.next();
    if (next.done === true) return false;
    this.#left = next.value;
    return true;
  }
}

/** Signature, version 3.1, mechanism, and that this side is no server of the mechanism. */
function greeting(): Buffer {
  const bytes = Buffer.alloc(GREETING_BYTES);
  bytes[0] = 0xff;
  bytes.set([0x7f, 3, 1], 9);
  bytes.write('NULL', 12, 'latin1');
  return bytes;
}

function checkGreeting(bytes: Buffer): void {
  if (bytes[0] !== 0xff || ((bytes[9] ?? 0) & 1) === 0) throw new ZmtpFault('It does not speak ZeroMQ.');
  const major = bytes[10] ?? 0;
  if (major < 3) throw new ZmtpFault(`It speaks ZMTP ${major}, and 3.0 or newer is needed (libzmq 4.0).`);
  const mechanism = bytes.toString('latin1', 12, 32).replace(/\0+$/, '');
  if (mechanism !== 'NULL')
    throw new ZmtpFault('It asks for a mechanism of security, and NULL is spoken here.');
}

/** Checks the properties of a READY: only a ROUTER, a REP or another DEALER is spoken to by a DEALER. */
function checkReady(properties: Buffer): void {
  for (let at = 0; at < properties.length; ) {
    const nameEnd = at + 1 + (properties[at] ?? 0);
    if (nameEnd + 4 > properties.length) throw new ZmtpFault('Its READY is broken.');
    const valueEnd = nameEnd + 4 + properties.readUInt32BE(nameEnd);
    if (valueEnd > properties.length) throw new ZmtpFault('Its READY is broken.');
    const name = properties.toString('latin1', at + 1, nameEnd).toLowerCase();
    const value = properties.toString('latin1', nameEnd + 4, valueEnd);
    if (name === 'socket-type' && !['ROUTER', 'REP', 'DEALER'].includes(value))
      throw new ZmtpFault('Its socket is none that a DEALER speaks to, such as a ROUTER.');
    at = valueEnd;
  }
}

function readCommand(body: Buffer): { readonly name: string; readonly rest: Buffer } {
  const end = 1 + (body[0] ?? 0);
  if (end > body.length) throw new ZmtpFault('It sent a broken command.');
  return { name: body.toString('latin1', 1, end), rest: body.subarray(end) };
}

function command(name: string, rest: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(name.length), Buffer.from(name, 'latin1'), rest]);
}

function property(name: string, value: string): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(value.length);
  return Buffer.concat([
    Buffer.of(name.length),
    Buffer.from(name, 'latin1'),
    size,
    Buffer.from(value, 'latin1'),
  ]);
}

function frame(flags: number, body: Uint8Array): Buffer {
  if (body.length < 256) return Buffer.concat([Buffer.of(flags, body.length), body]);
  const head = Buffer.alloc(9);
  head[0] = flags | FLAG.long;
  head.writeBigUInt64BE(BigInt(body.length), 1);
  return Buffer.concat([head, body]);
}
