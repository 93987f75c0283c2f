import { OrderFailure } from '@morpheo/common';
import test from 'ava';
import { readRules } from './dockerfile-rules.ts';

function refusal(text: string): string {
  try {
    readRules(text);
  } catch (error) {
    if (error instanceof OrderFailure && error.failure.reason === 'build_failed') return error.message;
    throw error;
  }
  return 'accepted';
}

test('The images that a build needs are those that are no stages of its own', (t) => {
  const text = `ARG BASE=debian:bookworm-slim
    FROM \${BASE} AS builder
    FROM --platform=linux/amd64 node:24-slim
    COPY --from=builder /a /a
    COPY --from=0 /b /b
    COPY --from=tools:1 /c /c
    FROM builder
    FROM scratch
    ENTRYPOINT ["/a"]`;
  t.deepEqual(
    readRules(text).bases.map(({ name, line }) => `${line} ${name}`),
    ['2 debian:bookworm-slim', '3 node:24-slim', '6 tools:1'],
  );
});

test('What was built for somebody else cannot be started or copied from', (t) => {
  const other = `morpheo-step/${'a'.repeat(64)}`;
  t.regex(refusal(`FROM ${other}\n`), /line 1: .*built for another archive/);
  t.regex(refusal(`FROM x\nCOPY --from=docker.io/${other} / /stolen`), /line 2: .*built for another archive/);
  t.regex(refusal(`ARG B=${other}\nFROM $B`), /line 2: .*built for another archive/);
  t.regex(refusal('FROM sha256:0123abcd'), /id of an image/);
  t.regex(refusal('FROM x\nCOPY --from=0123abcd / /stolen'), /line 2: .*id of an image/);
  t.regex(refusal(`FROM \${B:-x}`), /needs an ARG line/);
});

test('Addresses are not fetched', (t) => {
  t.regex(refusal('FROM x\nADD https://example.org/x /x'), /line 2: .*network/);
  t.regex(refusal('FROM x\nADD --chown=1 ["https://example.org/x", "/x"]'), /line 2: .*network/);
  t.regex(refusal('FROM x\nADD git@example.org:x /x'), /line 2: .*network/);
  t.regex(refusal('FROM x\nARG A=https://example.org\nADD $A /x'), /line 3: .*network/);
  t.is(refusal('FROM x\nADD weights.tar /x'), 'accepted');
});

test('The entry point of the last stage is in the exec form', (t) => {
  t.regex(refusal('FROM x\nENTRYPOINT node main.js'), /line 2: .*shell form/);
  t.is(refusal('FROM x AS a\nENTRYPOINT node main.js\nFROM a\nENTRYPOINT ["node"]'), 'accepted');
  t.regex(refusal('# nothing'), /no FROM line/);
});

test('What is no name of an image goes nowhere', (t) => {
  const odd = [
    'a//b',
    '../../containers',
    'a/../b',
    'x?force=1',
    'x#y',
    '%2e%2e',
    '-x',
    'x'.repeat(501),
    '.',
  ];
  for (const name of odd) t.regex(refusal(`FROM ${name}`), /line 1: .*is no name of an image/, name);
  t.regex(refusal('FROM x\nCOPY --from=a//b / /x'), /line 2: .*is no name of an image/);
  t.is(refusal('FROM registry.example:5000/team/x-y_z@sha256:0123'), 'accepted');
});
