import test from 'ava';
import * as z from 'zod';
import { imageText, parseImageReference, parsePinnedImage, pinnedImage } from './image-reference.ts';

const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;

test('A reference is read into registry, name, tag and digest, and reads back as it was written', (t) => {
  const cases = {
    [`registry.example/tool@${DIGEST}`]: { registry: 'registry.example', repository: 'tool', digest: DIGEST },
    'localhost:5000/team/sub/tool:1.2_b': {
      ...{ registry: 'localhost:5000', repository: 'team/sub/tool', tag: '1.2_b' },
    },
    [`[::1]:5000/a__b/c-d--e.f:v@${DIGEST}`]: {
      ...{ registry: '[::1]:5000', repository: 'a__b/c-d--e.f', tag: 'v', digest: DIGEST },
    },
  };
  for (const [text, expected] of Object.entries(cases)) {
    t.deepEqual(parseImageReference(text), expected, text);
    t.is(imageText(parseImageReference(text)), text);
  }
});

test('Images of Docker Hub without a name of an owner are those of its library', (t) => {
  t.is(imageText(parseImageReference('docker.io/python:3.12')), 'docker.io/library/python:3.12');
  t.is(imageText(parseImageReference('docker.io/team/tool')), 'docker.io/team/tool');
});

test('What is no reference is refused with what is wrong', (t) => {
  const cases: Readonly<Record<string, RegExp>> = {
    '': /begin with its registry/,
    python: /begin with its registry/,
    'team/tool:1': /begin with its registry/,
    'registry.example/': /name of small letters/,
    'registry.example/Tool': /name of small letters/,
    'registry.example/a//b': /name of small letters/,
    'registry.example/../b': /name of small letters/,
    'registry.example/a b': /name of small letters/,
    'registry.example/a/b\n': /name of small letters/,
    [`registry.example/${'a'.repeat(256)}`]: /name of small letters/,
    'registry.example/a:': /tag of at most 128/,
    [`registry.example/a:${'t'.repeat(129)}`]: /tag of at most 128/,
    'registry.example:port/a': /host, perhaps with a port/,
    'registry.example:65536/a': /host, perhaps with a port/,
    'name:password@registry.example/a': /digest of sha256/,
    'https://registry.example/a': /host, perhaps with a port/,
    'registry.example/a@sha256:abc': /digest of sha256/,
    [`registry.example/a@md5:${'0'.repeat(32)}`]: /digest of sha256/,
    [`registry.example/a@${DIGEST}@${DIGEST}`]: /digest of sha256/,
    [`registry.example/${'a/'.repeat(600)}a`]: /at most 600 characters/,
  };
  for (const [text, message] of Object.entries(cases))
    t.throws(() => parseImageReference(text), { name: 'PlatformError', message }, text);
});

test('Where bytes are to be named, a tag alone is refused', (t) => {
  t.is(parsePinnedImage(`registry.example/tool:1@${DIGEST}`).digest, DIGEST);
  t.throws(() => parsePinnedImage('registry.example/tool:1'), { message: /should have its digest/ });
  t.true(pinnedImage.safeParse(`registry.example/tool:1@${DIGEST}`).success);
  const refused = pinnedImage.safeParse('registry.example/tool:1');
  t.regex(z.prettifyError(refused.error ?? new z.ZodError([])), /should have its digest/);
});
