/**
 * Files of jobs in buckets: the worker moves all bytes, so that no container needs a network or a key. The numbers name
 * the sentences that tests show.
 *
 * - [P1] A bucket is named by its connection in the file of `--buckets`; who is not among the owners that may read, or
 *   write, is told the same as of one that is not there. [P2] The file, and those of keys, are followed as they change;
 *   what is no good is refused at first, and later a warning. [P3] Keys are in no error and in no line of the log.
 * - [P4] `fetchPrefix` makes a folder of all that lies below a prefix. Nothing comes before all of it was listed, and
 *   found to fit: [P5] more objects or bytes than the limits, [P6] nothing below it, [P7] keys that are no plain paths, or
 *   that would be a file and a folder at once, are each refused by name, and nothing is written.
 * - [P8] An object that is not what was listed any more is refused by name. [P9] A server that breaks off is asked again
 *   a few times; then, and where it is away, that is the platform's failure. [P10] Cancelling ends both ways at once.
 * - [P11] `pushPrefix` puts the files below the prefix under the order and the attempt, and `manifest.json` last, with
 *   each name, size and SHA-256: a prefix without it is not whole. [P12] What is fetched from a prefix with a manifest is
 *   what that tells, compared by its SHA-256; [P13] outputs without one are refused. [P14] A manifest takes the place of
 *   one of an earlier attempt of the same order, and of nothing else; what that attempt had pushed goes.
 * - [P15] `requireFreePlace` refuses outputs that would go into an input, or over what others have put there.
 * - [P16] What the keys do not allow fails the order; what is wrong with the bucket is tried again.
 */
export { bucketSettings } from './connection-file.ts';
export { type Access, type Connections, type OpenPlace, openConnections } from './connections.ts';
export { type Fetched, type FetchOptions, fetchPrefix } from './fetch.ts';
export { type Manifest, readManifest, type StoredManifest } from './manifest.ts';
export { placeName } from './places.ts';
export { type Pushed, type PushedBy, type PushOptions, pushPrefix, requireFreePlace } from './push.ts';
