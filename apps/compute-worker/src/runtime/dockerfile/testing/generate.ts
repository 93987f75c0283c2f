import type { Random } from '@morpheo/real-parts';

/** A Dockerfile by chance: of all instructions, with the oddities of text that readers of Dockerfiles differ about. */
export function generateDockerfile(random: Random): string {
  return new Generator(random).file();
}

const NAMES = ['A', 'B', 'C_1', 'PATH', 'TARGETARCH', 'NO_SUCH'];
const PLAIN = ['a', 'bc', 'x-1', 'é', '1', '/opt', 'v=w', '.', '%', '#', '~', '{', '}'];
const FILES = ['a', 'b.txt', '*.py', 'dir/', 'dir/sub', '.', './x', '/abs', 'q?', '[a-c].md', 'a//b'];
const PATHS = ['/app', '/app/', 'rel', './rel/', '.', '/', '/a/../b', '/opt/$A', `sub/\${B:-deep}`, '"/q"'];
const IMAGES = [
  'busybox',
  'debian:bookworm-slim',
  'library/python:3.11',
  'registry.example:5000/team/x:1',
  'scratch',
];
const SHELLS = [
  'echo hi',
  'echo "$A" \'$B\' \\$C',
  'ls -l && true',
  '[ -f /x ] && y',
  'echo a\tb  c',
  `x=$((1<<2)); echo \${x}`,
];
const LISTS = [
  '["a"]',
  '["a", "b c"]',
  '["\\u0061","$A"]',
  '[ "x" , "\\"y\\"" ]',
  "['a']",
  '["a",]',
  '[]',
  '["a"] b',
];

class Generator {
  readonly #random: Random;
  #stages: string[] = [];
  #mark = '\\';

  constructor(random: Random) {
    this.#random = random;
  }

  file(): string {
    const lines: string[] = [];
    if (this.#random.chance(0.1)) {
      this.#mark = '`';
      lines.push('# escape=`');
    }
    if (this.#random.chance(0.1)) lines.push('# syntax=docker/dockerfile:1');
    if (this.#random.chance(0.3))
      lines.push(`ARG ${this.#pick(['A', 'B'])}=${this.#word()}`, `ARG BASE=\${NO_SUCH:-busybox}`);
    const stages = 1 + Math.floor(this.#random.next() * 3);
    for (let stage = 0; stage < stages; stage += 1) lines.push(...this.#stage(stage));
    if (this.#random.chance(0.95)) lines.push('ENTRYPOINT ["run", "$A", "\\u00e9"]');
    return lines.map((line) => this.#spoilt(line)).join(this.#random.chance(0.1) ? '\r\n' : '\n');
  }

  #stage(index: number): string[] {
    const name = `stage${index}`;
    const base =
      this.#stages.length > 0 && this.#random.chance(0.5)
        ? this.#pick(this.#stages)
        : this.#pick([...IMAGES, '$BASE', `\${BASE}`]);
    const lines = [
      `${this.#case('FROM')} ${base}${this.#random.chance(0.8) ? ` ${this.#case('AS')} ${name}` : ''}`,
    ];
    if (lines[0]?.endsWith(name) === true) this.#stages.push(name);
    const count = Math.floor(this.#random.next() * 7);
    for (let line = 0; line < count; line += 1) lines.push(this.#instruction(index));
    return lines;
  }

  #instruction(stage: number): string {
    const word = () => this.#word();
    const from =
      stage > 0
        ? ` --from=${this.#pick([String(stage - 1), 'stage0', `stage${stage}`, 'stage2', 'busybox:1.36'])}`
        : '';
    return this.#pick([
      () => `ARG ${this.#pick(NAMES)}${this.#random.chance(0.6) ? `=${word()}` : ''}`,
      () => `ENV ${this.#pick(NAMES)}=${word()} ${this.#pick(NAMES)}=${word()}`,
      () => `ENV ${this.#pick(NAMES)} ${word()}  ${word()}`,
      () => `${this.#case('RUN')} ${this.#pick([...SHELLS, ...LISTS])}`,
      () => `COPY${this.#flags()} ${this.#pick(FILES)} ${this.#pick(PATHS)}`,
      () => `COPY ${this.#pick(FILES)} ${this.#pick(FILES)} ${this.#pick(PATHS)}/`,
      () =>
        `COPY ["${this.#pick(FILES)}", "${this.#pick(['/app', '/q "x', "/it's", '/$A'])}"]`.replace(
          'q "x',
          'q \\"x',
        ),
      () => `COPY${from} /x/*.whl ${this.#pick(PATHS)}`,
      () => `ADD ${this.#pick(FILES)} ${this.#pick(PATHS)}`,
      () => `WORKDIR ${this.#pick([...PATHS, word()])}`,
      () => `USER ${this.#pick(['me', '1000:1000', '$A', 'root'])}`,
      () => `VOLUME ${this.#pick(['/v', '/v /w', '["/v w"]', '/$A/x'])}`,
      () => `SHELL ${this.#pick(['["/bin/bash", "-c"]', '["sh"]', 'bash -c'])}`,
      () => `CMD ${this.#pick([...SHELLS, ...LISTS])}`,
      () => `ENTRYPOINT ${this.#pick(LISTS)}`,
      () => `LABEL ${this.#pick(['a=b', '"a b"=c', 'a b c', "x='y z' w=$A"])}`,
      () =>
        this.#pick([
          'EXPOSE 80',
          'EXPOSE 80/udp 81',
          'STOPSIGNAL 9',
          'MAINTAINER me',
          'HEALTHCHECK NONE',
          'HEALTHCHECK CMD x',
        ]),
    ])();
  }

  #flags(): string {
    return this.#pick([
      '',
      '',
      ' --chown=1:2',
      ' --chown=me',
      ' --chmod=755',
      ' --link',
      ' --chown=$A --chmod=0644',
      ' --link=false',
    ]);
  }

  #word(): string {
    const piece = () =>
      this.#pick([
        () => this.#pick(PLAIN),
        () => `$${this.#pick(NAMES)}`,
        () => `\${${this.#pick(NAMES)}}`,
        () =>
          `\${${this.#pick(NAMES)}${this.#pick([':-', '-', ':+', '+'])}${this.#pick(['d', '$A', '"q"', ''])}}`,
        () => `"${this.#pick(['x y', '$A', "it's", '\\"', '\\$A', '\\n', ''])}"`,
        () => `'${this.#pick(['x y', '$A', '"', '\\'])}'`,
        () => `${this.#mark}${this.#pick(['$', '"', "'", 'n', ' ', this.#mark])}`,
      ])();
    return Array.from({ length: 1 + Math.floor(this.#random.next() * 3) }, piece).join('');
  }

  /** The same line, continued, indented, commented, or with something in it that some take for a blank. */
  #spoilt(line: string): string {
    const { chance } = this.#random;
    const at = line.indexOf(' ', 4);
    const isText = /^(FROM|# |ARG BASE)/i.test(line) || at < 0;
    if (!isText && chance(0.15)) {
      const between = this.#pick(['', '  ', '\n# a comment', '\n', '\n  # another\n']);
      return `${line.slice(0, at)} ${this.#mark}${between}\n${line.slice(at + 1)}`;
    }
    if (chance(0.05)) return `  ${line}  `;
    if (chance(0.05)) return `# a comment\n\n${line}`;
    if (chance(0.02)) return line.replace(' ', this.#pick(['\t', '\v', '\f', '\u00a0', '\u2003', '  ']));
    if (chance(0.01)) return `${line} <<EOF`;
    if (chance(0.01)) return `ONBUILD ${line}`;
    if (chance(0.05)) return this.#damaged(line);
    return line;
  }

  /** With a character too much, or one missing, anywhere. */
  #damaged(line: string): string {
    const at = Math.floor(this.#random.between(0, line.length + 1));
    if (this.#random.chance(0.3)) return line.slice(0, at) + line.slice(at + 1);
    return line.slice(0, at) + this.#pick([...'\\`"\'{$}#=,[]<>:/ -.1A\t\n\r', '\\\n']) + line.slice(at);
  }

  #case(word: string): string {
    return this.#random.chance(0.2) ? word.toLowerCase() : word;
  }

  #pick<T>(list: readonly T[]): T {
    return this.#random.pick(list);
  }
}
