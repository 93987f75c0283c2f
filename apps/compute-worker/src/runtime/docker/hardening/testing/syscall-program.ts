/** A system call: its number on x86-64, and its first two arguments. */
export type SystemCall = readonly [number: number, first?: number, second?: number];

const BASE = 0x400000;
const HEADERS = 64 + 56;

/** A Linux program for x86-64 that makes one system call and ends with its errno: 0 where the call went well. */
export function syscallProgram([number, first = 0, second = 0]: SystemCall): Buffer {
  const code = Buffer.concat([
    Buffer.from([0xb8]), // mov eax, number
    int32(number),
    Buffer.from([0xbf]), // mov edi, first
    int32(first),
    Buffer.from([0xbe]), // mov esi, second
    int32(second),
    // xor edx, edx; xor r10, r10; xor r8, r8; xor r9, r9; syscall; neg eax; mov edi, eax; mov eax, 60; syscall
    Buffer.from('31d24d31d24d31c04d31c90f05f7d889c7b83c0000000f05', 'hex'),
  ]);
  const header = Buffer.alloc(HEADERS);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  header.writeUInt16LE(2, 16);
  header.writeUInt16LE(62, 18);
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(BigInt(BASE + HEADERS), 24);
  header.writeBigUInt64LE(64n, 32);
  header.writeUInt16LE(64, 52);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(1, 56);
  // The one segment: all of the file, to be read and executed.
  header.writeUInt32LE(1, 64);
  header.writeUInt32LE(5, 68);
  header.writeBigUInt64LE(BigInt(BASE), 80);
  header.writeBigUInt64LE(BigInt(BASE), 88);
  header.writeBigUInt64LE(BigInt(HEADERS + code.byteLength), 96);
  header.writeBigUInt64LE(BigInt(HEADERS + code.byteLength), 104);
  header.writeBigUInt64LE(0x1000n, 112);
  return Buffer.concat([header, code]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}
