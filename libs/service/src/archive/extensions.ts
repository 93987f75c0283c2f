import { ArchiveError, type Header } from './header.ts';
import { shownPath } from './tree-limits.ts';

const SPARSE = 'is a sparse file: pack without the option -S of tar, on macOS with --no-read-sparse';
const VOLUMES = 'is part of an archive of several volumes: pack without the option -M of tar';
const DUMP = 'belongs to an incremental backup: pack without the option -g of tar';

/** What the flag of an entry stands for, where that is neither a file, a folder, a hard link nor an extension. */
export const OTHER_KINDS: Readonly<Record<string, { readonly kind: string } | { readonly refusal: string }>> =
  {
    2: { kind: 'symlink' },
    3: { kind: 'character-device' },
    4: { kind: 'block-device' },
    6: { kind: 'fifo' },
    S: { refusal: SPARSE },
    M: { refusal: VOLUMES },
    D: { refusal: DUMP },
  };

/** Of the keys of extended headers: those that change an entry; those of no matter here; those that change what its bytes mean. */
const USED = ['path', 'linkpath', 'size'] as const;
type Used = (typeof USED)[number];

/**
 * Owners, times and attributes, as GNU tar, libarchive (bsdtar, macOS), star, Go, Python and 7-Zip write them. A key with a dot at its
 * end stands for all that begin with it. Sources: POSIX.1-2017 `pax`; tar(5) of libarchive; star(5); GNU tar, "Tar Internals".
 */
const OF_NO_MATTER = [
  ...['atime', 'ctime', 'mtime', 'uid', 'gid', 'uname', 'gname', 'comment', 'charset', 'hdrcharset'],
  ...['SCHILY.xattr.', 'SCHILY.acl.', 'SCHILY.fflags', 'SCHILY.dev', 'SCHILY.ino', 'SCHILY.nlink'],
  ...[
    'SCHILY.devmajor',
    'SCHILY.devminor',
    'SUN.devmajor',
    'SUN.devminor',
    'SCHILY.archtype',
    'SCHILY.release',
  ],
  ...['LIBARCHIVE.xattr.', 'LIBARCHIVE.creationtime', 'LIBARCHIVE.symlinktype', 'RHT.security.selinux'],
  'GNU.volume.label',
];
const REFUSED: Readonly<Record<string, string>> = {
  'GNU.sparse.': SPARSE,
  'SCHILY.realsize': SPARSE,
  'SUN.holesdata': SPARSE,
  'GNU.volume.': VOLUMES,
  'SCHILY.volhdr.': VOLUMES,
  'SCHILY.offset': VOLUMES,
  'GNU.dumpdir': DUMP,
  'SCHILY.dir': DUMP,
  'SCHILY.ddev': DUMP,
  'SCHILY.dino': DUMP,
};

/** The flags of the headers that say something of the entry after them. */
export const EXTENSIONS = ['x', 'g', 'L', 'K'] as const;
type Extension = (typeof EXTENSIONS)[number];

/** True for a flag of {@link EXTENSIONS}. */
export function isExtension(flag: string): flag is Extension {
  return EXTENSIONS.some((known) => known === flag);
}

/** What stands before an entry and says something of it: extended headers of POSIX, and long names of GNU tar. */
export class Extensions {
  readonly #values = new Map<Used, string>();
  readonly #seen = new Set<Extension>();
  /** The name that a sparse file has in its map. */
  #sparseName: string | undefined;
  #refusal: string | undefined;
  /** From a header that holds for all entries that follow. */
  #refusalOfAll: string | undefined;

  /** Whether an entry has to follow. */
  get isPending(): boolean {
    return this.#seen.size > 0;
  }

  /** Takes an extension, of which the name is that of its own header. Throws {@link ArchiveError} for one that is broken. */
  add(flag: Extension, name: string, body: Buffer): void {
    if (flag === 'g') {
      this.#addToAll(name, body);
      return;
    }
    if (this.#seen.has(flag)) this.#refuse('has two extended headers of one kind');
    this.#seen.add(flag);
    if (flag === 'x') {
      for (const [key, value] of records(body, name)) this.#addRecord(key, value);
    } else this.#set(flag === 'L' ? 'path' : 'linkpath', longName(body, name));
  }

  /** The header of an entry with what was said of it. Throws {@link ArchiveError} that names it where that is not understood. */
  applyTo(header: Header): Header {
    const { path: name = header.name, linkpath: link = header.link, size } = Object.fromEntries(this.#values);
    const refusal = this.#refusal ?? this.#refusalOfAll;
    const sparseName = this.#sparseName;
    this.#clear();
    const shown = sparseName ?? name;
    if (refusal !== undefined) throw new ArchiveError(`The entry ${shownPath(shown)} ${refusal}.`, shown);
    if (size === undefined) return { ...header, name, link };
    if (/^\d{1,15}$/.test(size)) return { ...header, name, link, size: Number(size) };
    throw new ArchiveError(`The entry ${shownPath(name)} has a size that is no number.`, name);
  }

  #addToAll(name: string, body: Buffer): void {
    if (this.isPending) this.#refuse('has a header for all entries between its own and itself');
    for (const [key] of records(body, name)) {
      const isUsed = USED.some((used) => used === key);
      this.#refusalOfAll ??= isUsed ? `gets its ${key} from a header for all entries` : refusalOf(key);
    }
  }

  #addRecord(key: string, value: Buffer): void {
    const used = USED.find((used) => used === key);
    if (used !== undefined) this.#set(used, value.toString('utf8'));
    else if (key === 'GNU.sparse.name') this.#sparseName = value.toString('utf8');
    else if (key === 'hdrcharset' && !/^(BINARY|ISO-IR 10646 2000 UTF-8)$/.test(value.toString('latin1')))
      this.#refuse('has a name in a character set that is not UTF-8');
    const refusal = refusalOf(key);
    if (refusal !== undefined) this.#refuse(refusal);
  }

  #set(key: Used, value: string): void {
    if (value === '') this.#refuse(`has an empty ${key} in its headers`);
    else if (this.#values.has(key)) this.#refuse(`has its ${key} twice in its headers`);
    else this.#values.set(key, value);
  }

  #refuse(why: string): void {
    this.#refusal ??= why;
  }

  #clear(): void {
    this.#values.clear();
    this.#seen.clear();
    this.#sparseName = undefined;
    this.#refusal = undefined;
  }
}

/** Why an entry with such a key is refused, as words that follow its name; undefined for a key that is understood. */
function refusalOf(key: string): string | undefined {
  const fits = (known: string) => key === known || (known.endsWith('.') && key.startsWith(known));
  if (USED.some(fits) || OF_NO_MATTER.some(fits)) return undefined;
  const [, why] = Object.entries(REFUSED).find(([known]) => fits(known)) ?? [];
  return (
    why ??
    `has the key ${shownPath(key)} in its extended header, which is not known: pack with plain tar, as a .tar.gz`
  );
}

/** The records of an extended header: `<length> <key>=<value>\n`, the length counting all of that. */
function* records(body: Buffer, name: string): Generator<readonly [key: string, value: Buffer]> {
  for (let at = 0; at < body.byteLength; ) {
    const space = body.indexOf(0x20, at);
    const length = space === -1 ? '' : body.toString('latin1', at, space);
    const end = at + Number(length);
    const equals = body.indexOf(0x3d, space);
    const isWhole = /^[1-9]\d{0,8}$/.test(length) && end <= body.byteLength && body[end - 1] === 0x0a;
    if (!isWhole || equals === -1 || equals >= end) {
      throw new ArchiveError(`The extended header ${shownPath(name)} is broken.`, name);
    }
    yield [body.toString('utf8', space + 1, equals), body.subarray(equals + 1, end - 1)];
    at = end;
  }
}

/** The text of a long name of GNU tar, which ends with NUL. */
function longName(body: Buffer, name: string): string {
  const end = body.indexOf(0);
  if (end === -1) return body.toString('utf8');
  if (body.subarray(end).some((byte) => byte !== 0))
    throw new ArchiveError(`The long name ${shownPath(name)} is broken.`, name);
  return body.toString('utf8', 0, end);
}
