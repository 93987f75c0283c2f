import test from 'ava';
import { DENIED_TOO, seccompProfile } from './seccomp.ts';

test('The profile allows what programs need and denies what they do not', (t) => {
  const { defaultAction, syscalls } = JSON.parse(seccompProfile());
  t.is(defaultAction, 'SCMP_ACT_ERRNO');
  const allowed = new Set<string>(
    syscalls
      .filter((rule: { action: string }) => rule.action === 'SCMP_ACT_ALLOW')
      .flatMap((rule: { names: string[] }) => rule.names),
  );
  for (const name of ['read', 'futex', 'clone3', 'memfd_create', 'sched_setaffinity', 'epoll_pwait2'])
    t.true(allowed.has(name), name);
  for (const name of ['io_uring_setup', 'io_uring_enter', 'userfaultfd', 'kexec_load', ...DENIED_TOO])
    t.false(allowed.has(name), name);
});
