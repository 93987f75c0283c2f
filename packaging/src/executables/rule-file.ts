/**
 * A rule for make: the target is older than what it was made from. Each input stands as a target without a rule as
 * well, so that one that is removed means to make it anew, and no error.
 */
export function ruleFile(target: string, inputs: readonly string[]): string {
  const names = [...new Set(inputs)].map(escapeName);
  return `${escapeName(target)}: ${names.join(' \\\n  ')}\n\n${names.map((name) => `${name}:`).join('\n')}\n`;
}

function escapeName(path: string): string {
  return path.replaceAll('$', '$$$$').replaceAll(/[ #]/g, '\\$&');
}
