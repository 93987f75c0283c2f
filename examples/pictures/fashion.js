// Writes Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, MIT) as folders of PNGs: <folder>/train/<category>/<number>.png, and
// the same below test. The pictures come from Debian's package dataset-fashion-mnist, as utils/real-parts/install/fashion-mnist gets it.
//
//   node fashion.js <folder> [--train 60000] [--test 10000] [--from <folder of the IDX files>]

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { crc32, deflateSync, gunzipSync } from 'node:zlib';

const CATEGORIES = [
  ...['T-shirt', 'Trouser', 'Pullover', 'Dress', 'Coat'],
  ...['Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot'],
];
const PARTS =
  process.env.MORPHEO_PARTS ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'morpheo/real-parts');

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    train: { type: 'string', default: '60000' },
    test: { type: 'string', default: '10000' },
    from: { type: 'string', default: join(PARTS, 'fashion-mnist') },
  },
});
const [folder] = positionals;
if (folder === undefined) {
  console.error('usage: node fashion.js <folder> [--train 60000] [--test 10000] [--from <folder>]');
  process.exit(2);
}
for (const [part, prefix] of [
  ['train', 'train'],
  ['test', 't10k'],
]) {
  const most = Number(given[part]);
  if (most === 0) continue;
  const images = await readIdx(join(given.from, `${prefix}-images-idx3-ubyte.gz`));
  const labels = await readIdx(join(given.from, `${prefix}-labels-idx1-ubyte.gz`));
  await writePart(join(folder, part), images, labels, most);
  console.log(`${Math.min(most, images.sizes[0])} pictures in ${join(folder, part)}`);
}

/** Writes the first pictures of a part, each into the folder of its category. */
async function writePart(path, { sizes: [count, height, width], values: pixels }, { values: labels }, most) {
  for (const category of CATEGORIES) await mkdir(join(path, category), { recursive: true });
  for (let number = 0; number < Math.min(count, most); number += 1) {
    const size = width * height;
    const png = pngOf(pixels.subarray(number * size, (number + 1) * size), width, height);
    await writeFile(join(path, CATEGORIES[labels[number]], `${String(number).padStart(5, '0')}.png`), png);
  }
}

/** A file of the form IDX: the sizes of its dimensions, and a byte for each value. */
async function readIdx(path) {
  const read = await readFile(path).catch((error) => {
    console.error(
      `${path}: ${error.code}. Run utils/real-parts/install/fashion-mnist first, or name another folder with --from.`,
    );
    process.exit(2);
  });
  const bytes = gunzipSync(read);
  const sizes = Array.from({ length: bytes[3] }, (_, at) => bytes.readUInt32BE(4 + 4 * at));
  return { sizes, values: bytes.subarray(4 + 4 * sizes.length) };
}

/** A PNG of grey pixels, a byte each (ISO 15948). */
function pngOf(pixels, width, height) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // 8 bits for each pixel; of 0, grey; the rest as there is nothing else.
  header.set([8, 0, 0, 0, 0], 8);
  // Each row begins with a 0: it is not filtered.
  const rows = Buffer.alloc(height * (width + 1));
  for (let y = 0; y < height; y += 1)
    rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND')]);
}

function chunk(type, data = Buffer.alloc(0)) {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(data.byteLength, 0);
  ends.writeUInt32BE(crc32(named), 4);
  return Buffer.concat([ends.subarray(0, 4), named, ends.subarray(4)]);
}
