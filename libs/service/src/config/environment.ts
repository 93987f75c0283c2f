import type { Settings } from './settings.ts';

/** The variables that begin with the prefix and that no setting knows, as problems. */
export function checkEnvironment(
  settings: Settings,
  prefix: string,
  env: Readonly<Record<string, string | undefined>>,
): string[] {
  const known = new Set(
    Object.values(settings).flatMap((setting) =>
      setting.secret === true ? [setting.env, `${setting.env}_FILE`] : [setting.env],
    ),
  );
  return Object.entries(env)
    .filter(
      ([name, value]) => name.startsWith(prefix) && !known.has(name) && value !== undefined && value !== '',
    )
    .map(([name]) => `${name}: there is no such setting; correct its name or unset it.`);
}
