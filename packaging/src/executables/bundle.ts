import { build } from 'esbuild';
import { type Program, ROOT } from './programs.ts';

/** A program in one file of JavaScript. */
export interface Bundle {
  /** Every file that went into it, from the root. */
  readonly inputs: readonly string[];
}

/**
 * Bundles a program with all its packages into one CommonJS file: that is what an executable of Node starts from.
 * Names are kept and lines stay lines, so that a stack trace can be read.
 */
export async function bundle(program: Program, outfile: string): Promise<Bundle> {
  const { metafile } = await build({
    stdin: {
      contents: entryOf(program),
      resolveDir: ROOT,
      sourcefile: `${program.name}.entry.ts`,
      loader: 'ts',
    },
    absWorkingDir: ROOT,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    outfile,
    metafile: true,
    logLevel: 'warning',
    // Who finds files beside a module asks first whether it is bundled.
    logOverride: { 'empty-import-meta': 'silent' },
    // Native code, which packages ask for when it is wanted and do without: SSH ciphers, libpq, NSQ's compression.
    external: ['*.node', 'cpu-features', 'pg-native', 'snappystream', ...(program.native ?? [])],
    ...(program.native === undefined ? {} : { banner: { js: BESIDE } }),
  });
  return { inputs: Object.keys(metafile.inputs).filter((path) => !path.endsWith('.entry.ts')) };
}

/** In an executable, Node finds its own modules alone; with this, those as well that lie beside it. */
const BESIDE = "require = require('node:module').createRequire(process.execPath);";

/** A service's executable answers one more flag than the service: `--health`, which asks the one that runs. */
function entryOf({ name, folder, sources, service }: Program): string {
  const main = `import('./${sources?.main ?? `${folder}/src/main.ts`}')`;
  const config = sources === undefined ? `@morpheo/${name}/config` : `./${sources.config}`;
  if (!service) return `void ${main};\n`;
  return `
if (process.argv[2] === '--health') {
  void Promise.all([import('./packaging/src/probe/health.ts'), import('${config}')]).then(
    ([{ tellHealth }, { loadConfig }]) => tellHealth(loadConfig),
  );
} else void ${main};
`;
}

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
