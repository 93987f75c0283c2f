import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { PostgresAddress } from '../postgres/address.ts';

/** What went to a server of PostgreSQL since it was last asked. */
export interface WireCount {
  /** Each statement, `begin` and `commit` as well, transaction after transaction. */
  readonly statements: readonly string[];
  readonly transactions: number;
  /** Transactions that change something and whose commit waits for the disk. */
  readonly syncs: number;
}

/** A way to a server of PostgreSQL that counts what passes. */
export interface CountedWire extends AsyncDisposable {
  readonly address: PostgresAddress;
  /** What passed since the last call, of those transactions whose statements `counts` says true of. */
  readonly count: (counts: (statements: readonly string[]) => boolean) => WireCount;
}

/** Opens a way to the server at `address`, on this machine and without TLS, that counts what passes. */
export async function countWire(address: PostgresAddress): Promise<CountedWire> {
  let ended: (readonly string[])[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(address.port, address.host);
    const session = new Session((statements) => ended.push(statements));
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    }
    client.on('data', (bytes: Buffer) => session.read(bytes));
    client.pipe(upstream).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const at = server.address();
  if (at === null || typeof at === 'string') throw new Error('The way to the server has no port.');
  return {
    address: { ...address, host: '127.0.0.1', port: at.port },
    count(counts) {
      const counted = ended.filter(counts);
      ended = [];
      const syncs = counted.filter(isSynced).length;
      return { statements: counted.flat(), transactions: counted.length, syncs };
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

/** What is only locked is not counted: it is changed then, or there was nothing. */
function isSynced(statements: readonly string[]): boolean {
  if (statements.some((sql) => /synchronous_commit\W+(?:to\W+)?off/i.test(sql))) return false;
  if (/^rollback/i.test(statements.at(-1) ?? '')) return false;
  return statements.some((sql) =>
    /\b(?:insert|update|delete|pg_notify)\b/i.test(sql.replaceAll(/\bfor (?:no key )?update\b/gi, '')),
  );
}

/** The messages of one client, as far as they have come (PostgreSQL, Frontend/Backend Protocol 3.0). */
class Session {
  readonly #ended: (statements: readonly string[]) => void;
  #bytes: Buffer = Buffer.alloc(0);
  #hasBegun: boolean = false;
  #open: string[] = [];

  constructor(ended: (statements: readonly string[]) => void) {
    this.#ended = ended;
  }

  read(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    for (;;) {
      // The first message of all has no type.
      const head = this.#hasBegun ? 1 : 0;
      if (this.#bytes.length < head + 4) return;
      const end = head + this.#bytes.readUInt32BE(head);
      if (this.#bytes.length < end) return;
      const type = this.#hasBegun ? String.fromCharCode(this.#bytes.readUInt8(0)) : '';
      const body = this.#bytes.subarray(head + 4, end).toString('latin1');
      this.#bytes = this.#bytes.subarray(end);
      this.#hasBegun = true;
      // A simple query has all its statements in one text; a statement with values is parsed, after its name.
      if (type === 'Q') for (const sql of (body.split('\0')[0] ?? '').split(';')) this.#take(sql.trim());
      if (type === 'P') this.#take(body.split('\0')[1]?.trim() ?? '');
    }
  }

  #take(sql: string): void {
    if (sql === '') return;
    this.#open.push(sql);
    const isOpen = /^(?:begin|start)\b/i.test(this.#open[0] ?? '');
    if (isOpen && !/^(?:commit|rollback$)/i.test(sql)) return;
    this.#ended(this.#open);
    this.#open = [];
  }
}
