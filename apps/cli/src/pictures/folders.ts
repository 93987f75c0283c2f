import { open, readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { errnoOf, PICTURE_BOUNDS, type PictureSetKey, pictureSetKey, pictureSetName } from '@morpheo/common';
import { usageError } from '../exit-codes.ts';
import { oneLine } from '../terminal/text.ts';

/** A picture in a folder. */
export interface FoundPicture {
  readonly path: string;
  /** What it is called in its set, so that it is stored once: its category and its file. */
  readonly name: string;
  readonly category: string;
  /** In bytes. */
  readonly size: number;
}

/** The pictures of a folder that become a set. */
export interface FoundSet {
  /** What the folder is called, and the size that it says, where it says one. */
  readonly name: string;
  readonly size: Pick<PictureSetKey, 'width' | 'height'> | undefined;
  readonly pictures: readonly FoundPicture[];
  /** Files that are no pictures by their names, and were left out. */
  readonly others: number;
}

/** What the original calls the folder of a set. */
const SET_FOLDER = /^(?<name>.+)_(?<width>\d{1,4})x(?<height>\d{1,4})$/;
const PICTURE = /\.(?:png|jpe?g)$/i;

/**
 * The sets of pictures in a folder: a folder for each category; or the original's own layout, a folder
 * `<name>_<w>x<h>/data/<category>`, or a folder of such folders. Throws a `CliError` that names what is neither.
 */
export async function findSets(folder: string): Promise<FoundSet[]> {
  const whole = await originalSet(folder);
  if (whole !== undefined) return [whole];
  const inside = await foldersIn(folder);
  const sets = await Promise.all(inside.map(async (name) => await originalSet(join(folder, name))));
  const found = sets.filter((set) => set !== undefined);
  if (found.length > 0) return found;
  const name = basename(resolve(folder));
  return [{ name, size: undefined, ...(await picturesIn(folder)) }];
}

/** The size of a picture, by the header of a PNG (its chunk IHDR, ISO 15948); undefined of anything else. */
export async function sizeOfPng(path: string): Promise<Pick<PictureSetKey, 'width' | 'height'> | undefined> {
  await using file = await open(path, 'r');
  const header = Buffer.alloc(24);
  await file.read(header, 0, header.byteLength, 0);
  if (header.toString('latin1', 1, 8) !== 'PNG\r\n\x1a\n' || header.toString('latin1', 12, 16) !== 'IHDR') {
    return undefined;
  }
  return { width: header.readUInt32BE(16), height: header.readUInt32BE(20) };
}

async function originalSet(folder: string): Promise<FoundSet | undefined> {
  const { name, width, height } = SET_FOLDER.exec(basename(resolve(folder)))?.groups ?? {};
  const key = pictureSetKey.safeParse({ name, width: Number(width), height: Number(height) });
  const data = join(folder, 'data');
  if (!key.success || !(await isFolder(data))) return undefined;
  const { name: called, ...size } = key.data;
  return { name: called, size, ...(await picturesIn(data)) };
}

async function picturesIn(folder: string): Promise<Pick<FoundSet, 'pictures' | 'others'>> {
  const categories = await foldersIn(folder);
  if (categories.length === 0) {
    throw usageError(
      `${folder} has no folders.`,
      'Put the pictures of each category into a folder of its own.',
    );
  }
  const found = await Promise.all(
    categories.map(async (category) => await categoryIn(join(folder, category), category)),
  );
  const pictures = found.flatMap((one) => one.pictures);
  if (pictures.length === 0) throw usageError(`${folder} has no .png or .jpg in any of its folders.`);
  return { pictures, others: found.reduce((sum, { others }) => sum + others, 0) };
}

async function categoryIn(folder: string, category: string): Promise<Pick<FoundSet, 'pictures' | 'others'>> {
  const named = pictureSetName.safeParse(category);
  if (!named.success) {
    const why = named.error.issues[0]?.message ?? 'is none';
    throw usageError(`The folder "${oneLine(category, 60)}" names a category, which ${why}.`, 'Rename it.');
  }
  const entries = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isFile());
  const names = entries.map(({ name }) => name).sort((one, other) => (one < other ? -1 : 1));
  const pictures = await Promise.all(
    names
      .filter((name) => PICTURE.test(name))
      .map(async (name): Promise<FoundPicture> => {
        const path = join(folder, name);
        const { size } = await stat(path);
        if (size > PICTURE_BOUNDS.bytes) {
          throw usageError(
            `${path} has ${size} bytes, and a picture has ${PICTURE_BOUNDS.bytes} at the most.`,
          );
        }
        return { path, name: `${category}/${name}`, category, size };
      }),
  );
  return { pictures, others: names.length - pictures.length };
}

async function foldersIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => name)
      .sort((one, other) => (one < other ? -1 : 1));
  } catch (error) {
    const code = errnoOf(error);
    throw usageError(
      `${folder} ${code === 'ENOENT' ? 'is not there' : `cannot be read (${code ?? error})`}.`,
      'Name a folder with a folder of pictures for each category.',
      error,
    );
  }
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
