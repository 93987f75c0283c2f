import test from 'ava';
import sharp from 'sharp';
import { pngOf } from '../testing/pictures.ts';
import { readBase64, readPicture, type Shape } from './picture.ts';

const GREY: Shape = { width: 8, height: 6, channels: 1 };
const COLOUR: Shape = { ...GREY, channels: 3 };

/** A picture whose values are those of `value`, of the shape's size. */
async function made(
  shape: Shape,
  format: 'png' | 'jpeg',
  value: (at: number) => number = (at) => at,
): Promise<Buffer> {
  const data = Uint8Array.from({ length: shape.width * shape.height * shape.channels }, (_, at) => value(at));
  const image = sharp(data, { raw: { width: shape.width, height: shape.height, channels: shape.channels } });
  return await (shape.channels === 1 ? image.toColourspace('b-w') : image).toFormat(format).toBuffer();
}

test('A grey PNG of the right size comes out as it is, row by row', async (t) => {
  const { format, pixels } = await readPicture(await made(GREY, 'png'), GREY);
  t.is(format, 'png');
  t.deepEqual(
    [...pixels],
    Array.from({ length: 48 }, (_, at) => at),
  );
});

test('A picture in colours becomes grey as in the original, and a grey one may be had in colours', async (t) => {
  const colours = [200, 100, 50];
  const red = await made(COLOUR, 'png', (at) => colours[at % 3] ?? 0);
  const { pixels } = await readPicture(red, GREY);
  // Of Pillow's convert('L').
  t.true(pixels.every((value) => value === 124));
  t.is(pixels.length, 48);
  t.deepEqual([...(await readPicture(red, COLOUR)).pixels.slice(0, 6)], [...colours, ...colours]);
  const grey = await readPicture(await made(GREY, 'png'), COLOUR);
  t.deepEqual([...grey.pixels.slice(-6)], [46, 46, 46, 47, 47, 47]);
});

test('A JPEG is read too, and pictures of any size fill the shape', async (t) => {
  const { format, pixels } = await readPicture(await made(GREY, 'jpeg', () => 90), GREY);
  t.deepEqual([format, [...new Set(pixels)]], ['jpg', [90]]);
  const wide = await made({ width: 300, height: 20, channels: 3 }, 'png', () => 77);
  const filled = await readPicture(wide, GREY);
  t.deepEqual([...filled.pixels], new Array(48).fill(77));
  const tiny = await readPicture(await made({ width: 1, height: 1, channels: 1 }, 'png', () => 5), COLOUR);
  t.deepEqual([...tiny.pixels], new Array(144).fill(5));
});

test('Transparency is left out, and 16 bits become 8', async (t) => {
  const clear = sharp({
    create: { width: 8, height: 6, channels: 4, background: { r: 9, g: 9, b: 9, alpha: 0 } },
  });
  t.deepEqual([...new Set((await readPicture(await clear.png().toBuffer(), GREY)).pixels)], [9]);
  const deep = sharp(new Uint16Array(48).fill(0xabcd), { raw: { width: 8, height: 6, channels: 1 } });
  const png = await deep.toColourspace('grey16').png().toBuffer();
  t.is((await sharp(png).metadata()).depth, 'ushort');
  t.deepEqual([...new Set((await readPicture(png, GREY)).pixels)], [0xab]);
});

test('What is no picture is refused, whatever else the library could read', async (t) => {
  const others = ['hello', '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', 'GIF89a'];
  for (const text of others) {
    await t.throwsAsync(readPicture(Buffer.from(text), GREY), {
      code: 'invalid_request',
      message: 'The bytes are no picture: send a PNG or a JPEG.',
    });
  }
  await t.throwsAsync(readPicture(Buffer.alloc(0), GREY), { message: /There are no bytes/ });
});

test('A picture that declares more pixels than fit is refused before any is made', async (t) => {
  await t.throwsAsync(readPicture(pngOf(100_000, 100_000, Buffer.alloc(1000)), GREY), {
    code: 'too_large',
    message: 'The picture has 100000 × 100000 pixels; at most 50000000 pixels are taken.',
  });
  const large = Buffer.alloc(16 * 1024 ** 2 + 1, (await made(GREY, 'png')).subarray(0, 8));
  await t.throwsAsync(readPicture(large, GREY), { code: 'too_large', message: /has 16777217 bytes/ });
});

test('A picture that is cut off, wherever, or damaged is refused', async (t) => {
  const refused = { code: 'invalid_request', message: /damaged, or cut off/ } as const;
  for (const format of ['png', 'jpeg'] as const) {
    // Of noise, which does not shrink: the cut is in the middle of the pixels.
    const whole = await made({ width: 40, height: 40, channels: 3 }, format, (at) => (at * 7919) % 251);
    for (const length of [9, 40, whole.length / 2, whole.length - 100])
      await t.throwsAsync(readPicture(whole.subarray(0, length), GREY), refused, `${format} ${length}`);
  }
  const png = await made({ width: 40, height: 40, channels: 3 }, 'png', (at) => (at * 7919) % 251);
  png.fill(0xff, 200, 240);
  await t.throwsAsync(readPicture(png, GREY), refused);
});

test('Base64 is read as clients of the original and browsers write it', (t) => {
  const bytes = Buffer.from(Array.from({ length: 200 }, (_, at) => (at * 37) % 256));
  const plain = bytes.toString('base64');
  const lines = `${plain.match(/.{1,76}/g)?.join('\n')}\n`;
  const forms = [plain, lines, lines.replaceAll('\n', '\r\n'), plain.replace(/=+$/, '')];
  for (const text of [...forms, bytes.toString('base64url'), `data:image/png;base64,${plain}`])
    t.deepEqual(readBase64(text, '`data`'), bytes);
  for (const text of ['not Base64!', 'AAAAA', 'AA=A'])
    t.throws(() => readBase64(text, '`data`'), { code: 'invalid_request', message: /`data` should be/ });
});
