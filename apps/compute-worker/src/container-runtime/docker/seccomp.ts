import profile from './seccomp-default.json' with { type: 'json' };

/**
 * System calls that Docker's newer default profile allows and that nothing of ours needs: each is a way to look into
 * or to change other processes. A debugger inside of a container does not work without them.
 */
export const DENIED_TOO: readonly string[] = [
  'ptrace',
  'process_vm_readv',
  'process_vm_writev',
  'process_madvise',
  'kcmp',
  'pidfd_getfd',
  'name_to_handle_at',
];

/**
 * The list of system calls that a container may make, as JSON in Docker's own format: the default profile of Moby's
 * `profiles/seccomp` v0.2.3, less {@link DENIED_TOO}. Daemons of 20.10 have an older one, which allows io_uring: most
 * of what has been found wrong in kernels of late. What is not on the list fails with EPERM.
 */
export function seccompProfile(): string {
  const syscalls = profile.syscalls
    .map((rule) => ({ ...rule, names: rule.names.filter((name) => !DENIED_TOO.includes(name)) }))
    .filter((rule) => rule.names.length > 0);
  return JSON.stringify({ ...profile, syscalls });
}
