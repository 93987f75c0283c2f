import ava from 'ava';
import { withParts } from '../with-parts.ts';
import { docker } from './docker.ts';
import { removeOrphanProjects, testProject } from './owner.ts';

const test = withParts(ava, 'docker');
const PROJECT = 'com.docker.compose.project';

test('The platform of a test whose process is gone is removed, and that of one that runs is not', async (t) => {
  // The process of this number is there, and began at another time.
  const [gone, own] = [`morpheo-test-${process.pid}-1-gone`, testProject('own')];
  const networks = async (project: string) =>
    await docker('network', 'ls', '--quiet', '--filter', `label=${PROJECT}=${project}`);
  for (const project of [gone, own]) {
    await docker('network', 'create', '--label', `${PROJECT}=${project}`, project);
    await docker(
      ...['create', '--label', `${PROJECT}=${project}`, '--name', project],
      ...['--network', project, 'busybox:1.36', 'true'],
    );
  }
  t.teardown(async () => {
    await docker('rm', own);
    await docker('network', 'rm', own);
  });
  await removeOrphanProjects();
  const left = await docker('ps', '--all', '--filter', `label=${PROJECT}`, '--format', '{{.Names}}');
  t.false(left.split('\n').includes(gone));
  t.true(left.split('\n').includes(own));
  t.is(await networks(gone), '');
  t.not(await networks(own), '');
});
