import { crc32, deflateSync } from 'node:zlib';

/** A grey PNG whose values are given, row by row; made by hand, since tests make thousands. */
export function greyPng(width: number, height: number, valueAt: (at: number) => number): Buffer {
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) rows[y * (width + 1) + x + 1] = valueAt(y * width + x);
  return pngOf(width, height, rows);
}

/** A PNG that declares a size, and holds these rows, whether they fit it or not. */
export function pngOf(width: number, height: number, rows: Uint8Array): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.writeUInt8(8, 8);
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows, { level: 1 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, check]);
}

/** The picture of a number, 4 × 4: its first two values are the number, high and low. */
export function numbered(number: number): Buffer {
  return greyPng(4, 4, (at) => (at === 0 ? number >> 8 : at === 1 ? number & 255 : at));
}

/** Which number a picture of {@link numbered} has, by its values row by row. */
export function numberOf(pixels: ArrayLike<number>): number {
  return (pixels[0] ?? 0) * 256 + (pixels[1] ?? 0);
}
