import type { SystemCall } from './syscall-program.ts';

/** One thing that hostile code tries to get out of its container, or to reach what is not its own. */
export interface EscapeProbe {
  readonly name: string;
  /** A line of shell that ends with 0 where the attempt has worked. See {@link probeScript} for what it may use. */
  readonly sh: string;
  /**
   * Whether it works in a container that is held back by little (see escape.test.ts): only then a refusal says
   * something about the hardening. What would harm the machine, and what even the daemon may not do, is tried in the
   * hardened container alone.
   */
  readonly hasControl: boolean;
}

/** Where things are that the probes look for, as the test has made them. */
export interface ProbeTargets {
  /** Ports of a server beside the daemon that answers to TCP and UDP, on 127.0.0.1 and ::1. */
  readonly port: number;
  /** The name of its abstract Unix socket. */
  readonly abstract: string;
  /** A file on the machine of the daemon, outside of every mount. */
  readonly foreign: string;
  /** Its text. */
  readonly mark: string;
}

const NEW_USER = 0x10000000;
const NEW_NS = 0x00020000;

/** System calls by their numbers on x86-64: none may be made, whatever its arguments; they do nothing where they may. */
const CALLS: readonly [name: string, call: SystemCall, hasControl: boolean][] = [
  ['ptrace', [101], true],
  ['process_vm_readv', [310, 1], true],
  ['io_uring_setup', [425, 1], false],
  ['io_uring_enter', [426], false],
  ['bpf', [321], false],
  ['userfaultfd', [323], false],
  ['keyctl', [250], true],
  ['add_key', [248], true],
  ['request_key', [249], false],
  ['perf_event_open', [298], false],
  ['mount', [165], true],
  ['fsopen', [430], true],
  ['unshare a user namespace', [272, NEW_USER], false],
  ['unshare a mount namespace', [272, NEW_NS], true],
  ['setns', [308], true],
  ['open_by_handle_at', [304], false],
  ['kexec_load', [246], false],
  ['init_module', [175], false],
  ['delete_module', [176], false],
  ['pivot_root', [155], true],
  ['settimeofday', [164], false],
  ['clock_settime', [227], false],
  ['quotactl', [179], false],
  ['acct', [163], false],
  ['swapon', [167], false],
  ['reboot', [169], false],
  ['syslog', [103, 3], false],
  ['setuid to root', [105, 0], true],
  ['setgid to root', [106, 0], true],
  ['a packet socket', [41, 17, 3], true],
];

const net = (code: string) => `node -e '${code.replaceAll('\n', ' ')}'`;
const FAILS = 'setTimeout(() => process.exit(1), 3000);';
const tcp = (where: string) =>
  net(
    `require("net").connect(${where}).on("data", () => process.exit(0)).on("error", () => process.exit(1)); ${FAILS}`,
  );

/** Attempts over the network, and over sockets. */
const NETWORK = ({ port, abstract }: ProbeTargets): Probes => ({
  'tcp to a server beside': [tcp(`${port}, "127.0.0.1"`), true],
  'tcp by IPv6 to a server beside': [tcp(`${port}, "::1"`), false],
  'udp to a server beside': [
    net(`const s = require("dgram").createSocket("udp4").on("message", () => process.exit(0)).on("error", () => process.exit(1));
      s.send("x", ${port}, "127.0.0.1"); ${FAILS}`),
    true,
  ],
  'an abstract Unix socket of the machine': [tcp(`"\\0${abstract}"`), true],
  'the gateway of a bridge': [tcp('80, "172.17.0.1"'), false],
  'the address where clouds tell of credentials': [tcp('80, "169.254.169.254"'), false],
  'a name of the internet': [
    net('require("dns").lookup("example.org", (error) => process.exit(error ? 1 : 0))'),
    false,
  ],
  'a network interface beside lo': ['ls /sys/class/net | grep -qv "^lo$"', false],
  'a socket of Docker': ['find / -name docker.sock -type s 2>/dev/null | grep -q .', true],
});

/** Files of the machine, of its kernel, and of others. */
const FILES = ({ foreign, mark }: ProbeTargets): Probes => ({
  'a file of another order by its path': [`grep -q ${mark} ${foreign}`, true],
  'a file of another order by climbing': [`grep -rqs ${mark} /data/in/.. /data/out/..`, false],
  'a file of another order through process 1': [`grep -q ${mark} /proc/1/root${foreign}`, false],
  'the memory of process 1': ['head -c 1 /proc/1/mem', false],
  'the environment of processes that are not its own': [
    'for p in /proc/[0-9]*; do tr "\\0" "\\n" < $p/environ | grep -qs "^DIND\\|^DOCKER\\|SECRET=" && exit 0; done; exit 1',
    true,
  ],
  'processes that are not its own': ['[ $(ls -d /proc/[0-9]* | wc -l) -gt 12 ]', false],
  'the daemon among its processes': ['grep -ls dockerd /proc/[0-9]*/comm', true],
  'writing to the input of an order': ['echo x >> /data/in/input', true],
  'writing to the file system of its image': ['echo x > /usr/written', true],
  'writing to the program that runs': ['echo x >> /bin/sh', false],
  'running what was written to /tmp': ['cp /bin/true /tmp/true && /tmp/true', true],
  'memory of the kernel by /proc/kcore': ['[ "$(head -c 1 /proc/kcore | wc -c)" = 1 ]', false],
  'memory of the machine by /dev/mem': ['head -c 1 /dev/mem', false],
  'a disk of the machine': ['for d in $(find /dev -type b); do head -c 1 $d && exit 0; done; exit 1', false],
  'a device that it makes': ['mknod /tmp/device c 1 1', true],
  'a block device that it makes': ['mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk', false],
  'the log of the kernel': ['dmesg', false],
  sysrq: ['echo h > /proc/sysrq-trigger', false],
  'the pattern of core dumps': ['echo core > /proc/sys/kernel/core_pattern', false],
  'the helper of the kernel': ['echo /x > /sys/kernel/uevent_helper', false],
  'the caches of the kernel': ['echo 0 > /proc/sys/vm/drop_caches', false],
});

/** Rights, mounts and limits. */
const RIGHTS: Probes = {
  'root by a setuid program': ['su -c true', true],
  'any capability': ['grep -q "^CapEff:.*[1-9a-f]" /proc/self/status', true],
  'new privileges': ['grep -q "^NoNewPrivs:.*0" /proc/self/status', true],
  'no filter of system calls': ['grep -q "^Seccomp:.*0" /proc/self/status', false],
  'mounting memory': ['mount -t tmpfs x /mnt', true],
  'mounting the root elsewhere': ['mount --bind / /mnt', true],
  'unmounting an input': ['umount /data/in', true],
  'mounting an input again, to be written': ['mount -o remount,rw /data/in', false],
  'a group of controls, for its release agent': [
    'mkdir -p /tmp/group && mount -t cgroup -o memory x /tmp/group && [ -e /tmp/group/release_agent ]',
    true,
  ],
  'leaving its group of controls': [
    'for f in /sys/fs/cgroup/memory/tasks /sys/fs/cgroup/cgroup.procs; do [ -e $f ] && echo $$ > $f && exit 0; done; exit 1',
    false,
  ],
  'a higher bound of memory': [
    'for f in /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; do [ -e $f ] && echo 9000000000 > $f && exit 0; done; exit 1',
    false,
  ],
  chroot: ['chroot / true', true],
  'the namespaces of process 1': ['nsenter -t 1 -m true', false],
  'the name of the machine': ['hostname other', true],
  'the owner of a file': ['touch /tmp/own && chown 1:1 /tmp/own', true],
  'killing what is not its own': ['kill -0 1 && [ "$(id -u)" = 0 ]', true],
  'a better priority': ['renice -n -5 $$', false],
  'a lower score at the end of memory': ['echo -1000 > /proc/self/oom_score_adj', false],
  'more open files': ['ulimit -n 5000', true],
  'dumps of core': ['ulimit -c 1000', true],
  'more shared memory than memory': ['[ $(df -k /dev/shm | awk "END { print \\$2 }") -gt 2000000 ]', true],
};

type Probes = Readonly<Record<string, readonly [sh: string, hasControl: boolean]>>;

/** What the programs of system calls end with where they are refused: EPERM, EACCES and ENOSYS; and where they are not run. */
const REFUSED = '1|13|38|126|127';

/** Every probe. */
export function escapeProbes(targets: ProbeTargets): readonly EscapeProbe[] {
  const lines = Object.entries({ ...NETWORK(targets), ...FILES(targets), ...RIGHTS });
  // The calls first: one of the others unmounts their programs, where it may.
  return [
    ...CALLS.map(([name, , hasControl], index) => ({
      name: `the system call ${name}`,
      sh: `/data/in/call-${index}; case $? in ${REFUSED}) exit 1;; esac`,
      hasControl,
    })),
    ...lines.map(([name, [sh, hasControl]]) => ({ name, sh, hasControl })),
  ];
}

/** What would stay in the kernel when its process has ended, and could be read by a later call of a runner. */
const OUTLIVING: readonly [name: string, call: SystemCall][] = [
  ['shared memory', [29, 0, 1]],
  ['a semaphore', [64, 0, 1]],
  ['messages', [68]],
];

/** Attempts to leave something that no folder holds: all of them work in a step. */
export function outlivingProbes(): readonly EscapeProbe[] {
  const queue = ['a queue of messages', ': > /dev/mqueue/planted'] as const;
  const calls = OUTLIVING.map(
    ([name], index) => [`${name} of System V`, `/data/in/outliving-${index}; [ $? != 1 ]`] as const,
  );
  return [...calls, queue].map(([name, sh]) => ({ name, sh, hasControl: true }));
}

/** The calls that the probes need as programs, by the names of their files in `/data/in`. */
export function callPrograms(): readonly (readonly [file: string, call: SystemCall])[] {
  return [
    ...CALLS.map(([, call], index) => [`call-${index}`, call] as const),
    ...OUTLIVING.map(([, call], index) => [`outliving-${index}`, call] as const),
  ];
}

/**
 * A script that makes all attempts, each for at most thirty seconds, and prints a line for each. It needs `node`, the
 * usual commands of Debian, `/data/in` with a file `input` and the programs of the calls, and `/data/out`.
 */
export function probeScript(probes: readonly EscapeProbe[]): string {
  const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const lines = probes.map(({ name, sh }) => `try ${quoted(name)} ${quoted(sh)}`);
  return `try() {
  if timeout -k 1 30 sh -c "$2" > /dev/null 2>&1 < /dev/null; then echo "reached: $1"; else echo "refused: $1"; fi
}
${lines.join('\n')}
`;
}
