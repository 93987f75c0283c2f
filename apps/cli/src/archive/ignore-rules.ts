/** What stays out of an archive; paths are relative to the folder, with `/`. */
export interface IgnoreRules {
  /** Whether this file stays out. */
  readonly file: (path: string) => boolean;
  /** Whether all that is below this folder stays out, so that nobody need look. */
  readonly folder: (path: string) => boolean;
}

interface Rule {
  readonly pattern: RegExp;
  readonly negated: boolean;
}

/** What the builder needs in any case. */
const ALWAYS_IN = new Set(['Dockerfile', '.dockerignore']);

/**
 * The rules of a `.dockerignore`: one pattern a line, `#` comments, `*`, `?`, `[…]` and `**`, `!` takes back, the last
 * rule that fits decides, and what lies below a folder that fits, fits as well. `.git` stays out in any case;
 * `node_modules` stays out where there is no such file. Source: Docker's documentation of the build context.
 */
export function ignoreRules(dockerignore: string | null): IgnoreRules {
  const rules = [
    ...(dockerignore === null ? [ruleOf('**/node_modules')] : parseRules(dockerignore)),
    ruleOf('.git'),
  ];
  const takesBack = rules.some((rule) => rule.negated);
  const fits = (path: string) =>
    rules.reduce((ignored, rule) => (rule.pattern.test(path) ? !rule.negated : ignored), false);
  return {
    file: (path) => !ALWAYS_IN.has(path) && fits(path),
    folder: (path) => path === '.git' || (!takesBack && fits(path)),
  };
}

function parseRules(text: string): Rule[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(ruleOf);
}

function ruleOf(line: string): Rule {
  const negated = line.startsWith('!');
  const path = (negated ? line.slice(1).trim() : line).replace(/^(?:\.?\/)+/, '').replace(/\/+$/, '');
  return { pattern: new RegExp(`^${translate(path)}(?:/.*)?$`), negated };
}

const TOKENS = /\*\*\/|\*\*|\*|\?|\[[^\]/]+\]|[^*?[]+|\[/g;

function translate(pattern: string): string {
  return (pattern.match(TOKENS) ?? []).map(translateToken).join('');
}

function translateToken(token: string): string {
  if (token === '**/') return '(?:.*/)?';
  if (token === '**') return '.*';
  if (token === '*') return '[^/]*';
  if (token === '?') return '[^/]';
  if (token.length > 2 && token.startsWith('[')) return token.replaceAll('\\', '\\\\');
  return token.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
