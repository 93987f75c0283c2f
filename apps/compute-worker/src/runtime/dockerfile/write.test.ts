import test from 'ava';
import { writeSegment } from './write.ts';

test('A segment is written with every word quoted, and nothing in it is left for a daemon to replace', (t) => {
  const odd = 'a b"c\'d\\e$f';
  const text = writeSegment({
    base: 'sha256:0',
    steps: [
      { kind: 'folder', path: `/${odd}` },
      { kind: 'copy', from: undefined, sources: ['0/0/'], destination: `/${odd}/é/`, owner: '1:2' },
      { kind: 'copy', from: 'sha256:1', sources: ['/dist/*.js'], destination: '/app/', owner: undefined },
    ],
    config: {
      entryPoint: ['/run', odd, 'é\n', '$HOME'],
      environment: new Map([['A', odd]]),
      workingFolder: '/data',
    },
  });
  t.deepEqual(text.split('\n'), [
    'FROM sha256:0',
    String.raw`WORKDIR "/a b\"c'd\\e\$f"`,
    String.raw`COPY --chown=1:2 ["0/0/","/a b\\\"c\\'d\\\\e\\$f/\u00e9/"]`,
    'COPY --from=sha256:1 ["/dist/*.js","/app/"]',
    String.raw`ENV A="a b\"c'd\\e\$f"`,
    'WORKDIR "/data"',
    String.raw`ENTRYPOINT ["/run","a b\"c'd\\e$f","\u00e9\n","$HOME"]`,
    '',
  ]);
});
