import { randomUUID } from 'node:crypto';
import type { TestFn } from 'ava';
import { type ContractHarness, openContract } from './contract-fixture.ts';

/**
 * Leaves a secret wherever a program may write: beside the files of its call, hidden by modes, in links, in names, in a child
 * that goes on, on a socket and in the kernel. The call knows nothing of how a runner is looked after.
 */
const plant = (secret: string) => `
  const { spawn, execFileSync } = await import('node:child_process');
  const put = (path) => { try { fs.writeFileSync(path, '${secret}'); } catch {} };
  for (const folder of [process.env.HOME, process.env.TMPDIR, inputs, outputs, inputs + '/../..', ...(process.env.AT ?? '').split(' ')]) {
    if (folder === '') continue;
    put(folder + '/planted');
    put(folder + '/.hidden');
    put(folder + '/planted-${secret}');
    try {
      fs.mkdirSync(folder + '/deep/er', { recursive: true });
      put(folder + '/deep/er/planted');
      fs.symlinkSync('/${secret}', folder + '/link');
      fs.chmodSync(folder + '/deep/er', 0);
      fs.chmodSync(folder + '/deep', 0o300);
    } catch {}
  }`;

/** What a program finds of a secret: whatever it can read, in the whole of its file system where it is asked to. */
const find = (secret: string) => `
  const found = [];
  const see = (path) => {
    let names;
    if (path.includes('${secret}')) found.push(path);
    try {
      fs.chmodSync(path, 0o700);
    } catch {}
    try {
      if (fs.lstatSync(path).isSymbolicLink()) return void (fs.readlinkSync(path).includes('${secret}') && found.push(path));
      names = fs.readdirSync(path, { withFileTypes: true });
    } catch (error) {
      if (error.code === 'ENOTDIR') { if (fs.readFileSync(path).includes('${secret}')) found.push(path); }
      return;
    }
    for (const name of names) {
      const below = path.replace(/\\/$/, '') + '/' + name.name;
      if (/^\\/(proc|sys)$/.test(below) || below === inputs + '/program') continue;
      if (name.isDirectory()) see(below);
      else if (name.isSymbolicLink()) fs.readlinkSync(below).includes('${secret}') && found.push(below);
      else if (name.isFile()) {
        if (below.includes('${secret}')) found.push(below);
        try {
          if (fs.readFileSync(below).includes('${secret}')) found.push(below);
        } catch {}
      }
    }
  };
  for (const folder of (process.env.LOOK ?? '').split(' ')) if (folder !== '') see(folder);`;

/** What owners and calls have of one another: nothing. */
export function testRunnerIsolation(harness: ContractHarness, test: TestFn): void {
  const { name, isolates } = harness;

  test.serial(`${name}: What a call left where it may write is gone when the next one comes`, async (t) => {
    await using contract = await openContract(harness);
    const secret = randomUUID();
    const environment = isolates
      ? { AT: '/dev/shm /var/tmp /run /data /app /', LOOK: '/' }
      : { AT: '', LOOK: '' };
    const plan = await contract.plan({ environment });
    const first = await contract.obey(plan, plant(secret));
    const look = isolates
      ? ''
      : "process.env.LOOK = [process.env.HOME, process.env.TMPDIR, fs.realpathSync(inputs + '/../..')].join(' ');";
    const report = "fs.writeFileSync(outputs + '/answer', JSON.stringify(found))";
    const second = await contract.obey(plan, `${look}${find(secret)};${report}`);
    t.is(second.runner, first.runner, 'it is the same program');
    t.is(second.value, '[]');
    // And that the search would have found it: within one call.
    const both = await contract.obey(plan, `${look}${plant(secret)};${find(secret)};${report}`);
    t.true(JSON.parse(both.value).length >= 8, both.value);
  });

  test.serial(
    `${name}: Calls of one runner do not find one another's folders once these are answered`,
    async (t) => {
      await using contract = await openContract(harness);
      const plan = await contract.plan({ maxBatch: 2, environment: { MAX: '2', PIPELINED: 'yes' } });
      const go = new AbortController();
      const waiting = contract.obey(
        plan,
        `keeps.waits = true; while (!keeps.go) await new Promise((resolve) => setTimeout(resolve, 5));`,
        { signal: go.signal },
      );
      const secret = randomUUID();
      await contract.obey(
        plan,
        `while (!keeps.waits) await new Promise((resolve) => setTimeout(resolve, 5));
      fs.writeFileSync(outputs + '/secret', '${secret}'); keeps.path = outputs;`,
      );
      const after = await contract.obey(
        plan,
        `fs.writeFileSync(outputs + '/answer', JSON.stringify([fs.existsSync(keeps.path), fs.readdirSync(inputs + '/../..').length]));
      keeps.go = true;`,
      );
      t.is(after.value, '[false,2]', 'only those that are under way are there');
      await waiting;
    },
  );

  if (!isolates) return;

  test.serial(
    `${name}: From inside a runner nothing is read of what another owner sent to one`,
    async (t) => {
      await using contract = await openContract(harness);
      const secret = randomUUID();
      const environment = { AT: '/dev/shm', LOOK: '/' };
      const ofAnn = await contract.plan({ owner: 'ann', environment });
      const ofBob = await contract.plan({ owner: 'bob', environment });
      const keep = `${plant(secret)}
      keeps.secret = '${secret}';
      keeps.child = spawn('sleep', ['1000'], { env: { SECRET: '${secret}' }, argv0: '${secret}' });
      keeps.server = net.createServer((socket) => socket.end('${secret}')).listen('\\0morpheo-${secret}');
      keeps.open = fs.openSync(inputs + '/program');
      fs.writeFileSync(outputs + '/answer', [inputs, outputs, socketPath].join(' '));`;
      // Ann's runner is idle, and keeps what it was told.
      const { value } = await contract.obey(ofAnn, keep);
      const places = value.split(' ');
      const steal = `${find(secret)}
      for (const place of ${JSON.stringify(places)}) if (place !== socketPath && fs.existsSync(place)) found.push(place);
      for (const pid of fs.readdirSync('/proc').filter((name) => /^\\d+$/.test(name))) {
        if (Number(pid) === process.pid) continue;
        for (const file of ['environ', 'cmdline', 'mountinfo'])
          try { if (fs.readFileSync('/proc/' + pid + '/' + file).includes('${secret}')) found.push(pid + file); } catch {}
      }
      if (fs.readFileSync('/proc/net/unix').includes('${secret}')) found.push('a socket');
      // What its own worker gives it is its own call, and no path leads to a file that Ann's runner has.
      const folders = fs.readdirSync('/calls');
      if (folders.length !== 1) found.push(...folders);
      for (const way of ['/calls/../..', '/run/morpheo/..', '/run/morpheo/../..', '/tmp/..', '/proc/1/root', '/proc/1/cwd'])
        try { if (fs.readdirSync(way).some((name) => /^(runners|worker|prepared|ready|left)$/.test(name))) found.push(way); } catch {}
      try { fs.writeFileSync('/run/morpheo/planted', ''); found.push('the folder of the socket'); } catch {}
      try { fs.unlinkSync(socketPath); found.push('the socket itself'); } catch {}
      fs.writeFileSync(outputs + '/answer', JSON.stringify(found));`;
      const stolen = await contract.obey(ofBob, steal);
      t.is(stolen.value, '[]');
      const again = await contract.obey(ofAnn, `fs.writeFileSync(outputs + '/answer', keeps.secret)`);
      t.is(again.value, secret, "Ann's runner is there all the while");
      // The same from a runner that starts when there is all that to be found.
      const next = await contract.plan({ owner: 'bob', environment });
      t.is((await contract.obey(next, steal)).value, '[]');
    },
  );
}
