import { mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { bundle, ruleFile } from './bundle.ts';
import { makeExecutable } from './executable.ts';
import { copyNative } from './native.ts';
import { PROGRAMS, type Program, ROOT, targetOf } from './programs.ts';

/** What makes the executables is an input of each of them, and so is the Node that it is put into. */
const TOOLS = ['bundle', 'executable', 'main', 'native', 'programs'].map(
  (name) => `packaging/src/executables/${name}.ts`,
);

for (const name of process.argv.slice(2)) {
  const program = PROGRAMS[name];
  if (program === undefined) {
    process.stderr.write(`There is no program ${name}: choose of ${Object.keys(PROGRAMS).join(', ')}.\n`);
    process.exitCode = 2;
    break;
  }
  if (!(await made(program))) {
    process.exitCode = 1;
    break;
  }
}

/** False where the sources cannot be bundled: then the bundler has said what is wrong with them, and where. */
async function made(program: Program): Promise<boolean> {
  try {
    await make(program);
    return true;
  } catch (error) {
    if (error instanceof Error && 'errors' in error) return false;
    throw error;
  }
}

/** Writes the executable and, beside it, the rule that tells make when it is out of date; whole or not at all. */
async function make(program: Program): Promise<void> {
  const started = performance.now();
  const target = targetOf(program);
  const folder = join(ROOT, program.folder, 'target');
  await mkdir(folder, { recursive: true });
  const work = await mkdtemp(join(folder, '.work-'));
  try {
    const script = join(work, `${program.name}.cjs`);
    const { inputs } = await bundle(program, script);
    const outfile = join(work, program.name);
    const { service: page, assets = {} } = program;
    const files = Object.entries(assets).map(([name, path]) => [name, join(ROOT, path)] as const);
    await makeExecutable({ script, page, assets: Object.fromEntries(files), folder: work, outfile });
    const node = relative(ROOT, process.execPath);
    await writeFile(
      join(work, 'rule'),
      ruleFile(target, [...inputs, ...Object.values(assets), ...TOOLS, node]),
    );
    await copyNative(program.native ?? [], folder);
    await rename(join(work, 'rule'), join(ROOT, `${target}.d`));
    await rename(outfile, join(ROOT, target));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  const { size } = await stat(join(ROOT, target));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(`${target}  ${(size / 1e6).toFixed(0)} MB, made in ${seconds} s\n`);
}
