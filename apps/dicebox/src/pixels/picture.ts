import { PICTURE_BOUNDS, PlatformError } from '@morpheo/common';
import sharp, { type Metadata, type Sharp } from 'sharp';

/** What pictures become: so many columns and rows, and values for each pixel (1: grey; 3: red, green, blue). */
export interface Shape {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
}

/** A picture that was read. */
export interface Picture {
  /** What its bytes are, as the end of a file name. */
  readonly format: 'png' | 'jpg';
  /** Row by row, from the top left; the values of a pixel beside one another, each of 0…255. */
  readonly pixels: Uint8Array;
}

/** What one picture may have: bytes, and pixels as it declares them, which are known before any of them is made. */
export const PICTURE_LIMITS = { bytes: PICTURE_BOUNDS.bytes, pixels: 50_000_000 } as const;

/** How much each of red, green and blue counts for grey (ITU-R BT.601), of 65,536, as in the original. */
const GREY = [19_595, 38_470, 7_471] as const;

/**
 * Reads a PNG or JPEG of any size, grey or in colours, and makes it what a set has. The picture fills the shape, as in the
 * original: its proportions are not kept. Throws `invalid_request` for what is none, is cut off or damaged, and `too_large`
 * for one over {@link PICTURE_LIMITS}.
 */
export async function readPicture(bytes: Uint8Array, shape: Shape): Promise<Picture> {
  if (bytes.byteLength > PICTURE_LIMITS.bytes) throw tooLarge(`${bytes.byteLength} bytes`, 'bytes');
  const format = formatOf(bytes);
  if (format === undefined) {
    const what = bytes.byteLength === 0 ? 'There are no bytes' : 'The bytes are no picture';
    throw new PlatformError('invalid_request', `${what}: send a PNG or a JPEG.`);
  }
  demandSize(await opened(bytes, async (image) => await image.metadata()));
  const pixels = await opened(bytes, async (image) => await pixelsOf(image, shape));
  return { format, pixels };
}

/** By its first bytes: nothing else reaches the library, which reads a lot of formats, some of them programs. */
function formatOf(bytes: Uint8Array): Picture['format'] | undefined {
  const begins = (...signature: number[]) => signature.every((byte, at) => bytes[at] === byte);
  if (begins(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return 'png';
  return begins(0xff, 0xd8, 0xff) ? 'jpg' : undefined;
}

function demandSize({ width, height }: Pick<Metadata, 'width' | 'height'>): void {
  if (width * height > PICTURE_LIMITS.pixels) throw tooLarge(`${width} × ${height} pixels`, 'pixels');
}

function tooLarge(has: string, of: keyof typeof PICTURE_LIMITS): PlatformError {
  const limit = PICTURE_LIMITS[of];
  return new PlatformError('too_large', `The picture has ${has}; at most ${limit} ${of} are taken.`, {
    details: { limit },
  });
}

async function opened<T>(bytes: Uint8Array, work: (image: Sharp) => Promise<T>): Promise<T> {
  try {
    // The bound is ours, and told before: a picture that declares too much never gets as far.
    return await work(sharp(bytes, { failOn: 'error', limitInputPixels: false, pages: 1 }));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new PlatformError('invalid_request', `The picture is damaged, or cut off: ${why}.`, { cause });
  }
}

async function pixelsOf(image: Sharp, { width, height, channels }: Shape): Promise<Uint8Array> {
  const { data, info } = await image
    .autoOrient()
    .removeAlpha()
    .toColourspace('srgb')
    .resize(width, height, { fit: 'fill' })
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  if (info.channels === channels) return data;
  return channels === 1 ? toGrey(data, info.channels) : toColours(data);
}

function toGrey(data: Uint8Array, channels: number): Uint8Array {
  const grey = new Uint8Array(data.length / channels);
  for (let at = 0; at < grey.length; at += 1) {
    const from = at * channels;
    const sum = GREY.reduce((all, share, colour) => all + share * (data[from + colour] ?? 0), 0x8000);
    grey[at] = sum >> 16;
  }
  return grey;
}

function toColours(grey: Uint8Array): Uint8Array {
  const data = new Uint8Array(grey.length * 3);
  for (const [at, value] of grey.entries()) data.fill(value, at * 3, at * 3 + 3);
  return data;
}

/**
 * The bytes of Base64 as clients of the original send it: in lines, with or without its padding, in either alphabet, and
 * behind the `data:…;base64,` of a browser. Throws `invalid_request` for what is no Base64; `what` is how it is named there.
 */
export function readBase64(text: string, what: string): Buffer {
  const signs = text.replace(/^data:[^,]{0,200};base64,/, '').replace(/\s+/g, '');
  const bare = signs.replace(/={0,2}$/, '');
  if (!/^[A-Za-z0-9+/_-]*$/.test(bare) || bare.length % 4 === 1)
    throw new PlatformError('invalid_request', `${what} should be the Base64 of a picture.`);
  return Buffer.from(bare, 'base64');
}
